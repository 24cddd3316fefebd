"""Every limit refuses by name and is counted; without its database the API says so and comes back by itself."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from claim_api import health
from claim_api.answer import Answer, json_answer
from claim_api.config import ApiConfig, Bounds
from claim_api.errors import ApiConfigError
from claim_api.request import Request
from claim_api.routing import Route
from claim_api.server import listen
from schemas.bundle import decode
from tests.hours import CHANNEL, T0_S, sealed_hour, viewers_of
from tests.seals import SaidLog


@pytest.mark.parametrize("method", ["POST", "OPTIONS"])
async def test_what_is_read_only_knows_get_and_head(api: Any, method: str) -> None:
    status, headers, _ = await api.raw("/v1/channels", method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_other_methods_are_known_nowhere(api: Any, method: str) -> None:
    status, headers, _ = await api.raw("/v1/channels", method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD, POST, OPTIONS")


async def test_a_body_is_refused(api: Any) -> None:
    assert (await api.get("/v1/channels", status=413, data=b"x" * 10))["code"] == "body_too_large"

    async def pieces() -> AsyncIterator[bytes]:
        yield b"some"

    assert (await api.get("/v1/channels", status=413, data=pieces()))["code"] == "body_too_large"


async def test_a_long_path_query_or_head_is_refused(api: Any) -> None:
    assert (await api.get("/v1/channels/" + "a" * 2000, status=414))["code"] == "target_too_long"
    assert (await api.get("/v1/channels?after=" + "a" * 3000, status=414))["code"] == "target_too_long"
    big = {f"X-{n}": "b" * 1000 for n in range(20)}
    assert (await api.get("/v1/channels", status=431, headers=big))["code"] == "headers_too_large"
    # Beyond the HTTP library's own buffer it answers by itself.
    assert (await api.raw("/v1/channels", headers={f"X-{n}": "b" * 8000 for n in range(9)}))[0] == 431


async def test_refusals_and_requests_are_counted(api: Any) -> None:
    await api.get("/v1/channels?limit=0", status=400)
    await api.get("/v1/channels")
    _, headers, body = await api.raw("/metrics")
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    text = body.decode()
    assert 'twzrd_api_refused_total{code="malformed"} 1.0' in text
    assert 'twzrd_api_requests_total{route="channels",status="400"} 1.0' in text
    assert 'twzrd_api_requests_total{route="channels",status="200"} 1.0' in text
    assert 'twzrd_api_request_seconds_count{route="channels"} 2.0' in text


async def test_concurrent_first_requests_build_an_epoch_once(api: Any, world: Any) -> None:
    hour = sealed_hour(viewers_of(3000))
    await world.apply(hour)
    refs = [ref.tobytes().hex() for ref in hour.body.refs[:20]]
    await asyncio.gather(*(api.get(f"/v1/epochs/{CHANNEL}/{T0_S}/proof?ref={ref}") for ref in refs))
    assert "twzrd_api_proof_cache_builds_total 1.0" in (await api.raw("/metrics"))[2].decode()


async def test_the_proof_cache_keeps_its_bytes_bound(serve: Any, world: Any) -> None:
    hours = [sealed_hour(viewers_of(100), epoch_start_s=T0_S + number * 3600) for number in range(8)]
    await world.apply(*hours)
    async with serve(bounds=Bounds(proof_cache_bytes=100_000)) as api:
        for hour in hours:
            ref = hour.body.refs[0].tobytes().hex()
            await api.get(f"/v1/epochs/{CHANNEL}/{hour.header.epoch_start_s}/proof?ref={ref}")
        text = (await api.raw("/metrics"))[2].decode()
    values = dict(line.split(" ") for line in text.splitlines() if line.startswith("twzrd_api_proof_cache"))
    assert 0 < float(values["twzrd_api_proof_cache_bytes"]) <= 100_000
    assert float(values["twzrd_api_proof_cache_evictions_total"]) > 0


async def test_an_epoch_beyond_the_cache_is_refused_before_it_is_read(serve: Any, world: Any) -> None:
    await world.apply(sealed_hour(viewers_of(1000)))
    async with serve(bounds=Bounds(proof_cache_bytes=100_000)) as api:
        error = await api.get(f"/v1/epochs/{CHANNEL}/{T0_S}/proof?ref={'ab' * 32}", status=503)
    assert error["code"] == "epoch_too_large"


async def test_without_a_database_the_api_starts_says_so_and_recovers(serve: Any, world: Any, pg_dsn: str) -> None:
    hour = sealed_hour(viewers_of(5))
    await world.apply(hour)
    proof = f"/v1/epochs/{CHANNEL}/{T0_S}/proof?ref={hour.body.refs[0].tobytes().hex()}"
    connection = await asyncpg.connect(pg_dsn)
    database = await connection.fetchval("select current_database()")
    await connection.close()
    admin = await asyncpg.connect(pg_dsn.replace(f"/{database}?", "/template1?", 1))
    async with serve(refresh_ms=50) as api:
        await api.until_sealed(T0_S)
        await api.get(proof)
        await admin.execute(f"alter database {database} allow_connections false")
        await admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", database)
        assert (await api.get("/v1/channels", status=503))["code"] == "database_away"
        found = await api.get("/health", status=503)
        assert found["status"] == "degraded"
        assert "database" in found["reasons"][0]
        # What is in memory is still proved.
        await api.get(proof)
        await admin.execute(f"alter database {database} allow_connections true")
        assert (await api.get("/v1/channels"))["channels"][0]["channel"] == CHANNEL
    await admin.close()


async def test_a_database_that_was_restored_under_the_api_is_noticed(serve: Any, world: Any, pg_dsn: str) -> None:
    """Seals that came after the backup are gone, and their numbers and hours are given to others."""
    tables = "sealed_epochs, viewer_epochs, viewer_logins, channels, projection_positions"
    before = [sealed_hour(viewers_of(3), epoch_start_s=T0_S + number * 3600) for number in range(4)]
    await world.apply(*before)
    other = sealed_hour(viewers_of(7), epoch_start_s=T0_S)
    proof = f"/v1/epochs/{CHANNEL}/{T0_S}/proof?index=0"
    async with serve(refresh_ms=20) as api:
        await api.until_sealed(T0_S + 3 * 3600)
        assert decode((await api.raw(proof))[2]).seal == before[0].header.encode().hex()
        connection = await asyncpg.connect(pg_dsn)
        await connection.execute(f"truncate {tables}; truncate seal_keys restart identity")
        world.log = SaidLog(1)
        async with api.session.get(api.base + "/v1/stream") as stream:
            await world.apply(other)
            async with asyncio.timeout(20):
                while decode((await api.raw(proof))[2]).seal != other.header.encode().hex():
                    pass
            await world.apply(sealed_hour(viewers_of(7), epoch_start_s=T0_S + 9 * 3600))
            async with asyncio.timeout(20):
                while f'"epoch_start_s":{T0_S + 9 * 3600},'.encode() not in await stream.content.readline():
                    pass
        await connection.close()


async def test_a_database_without_tables_is_named_as_such(serve: Any, pg_server: str) -> None:
    async with serve(dsn=pg_server) as api:
        assert (await api.get("/v1/channels", status=503))["code"] == "not_migrated"


async def test_health_tells_lag_and_age(serve: Any, world: Any) -> None:
    await world.apply(sealed_hour(viewers_of(2)))

    async def lag() -> dict[str, int]:
        return {"sealed": 7}

    async with serve(lag_records=lag, max_lag_records=7) as api:
        found = await api.get("/health")
        assert (found["status"], found["reasons"]) == ("ready", [])
        assert found["projection_lag_records"] == {"sealed": 7}
        assert found["newest_seal_age_s"] > 0
        assert found["projections"]["sealed"] == 1
    async with serve(lag_records=lag, max_lag_records=6, max_seal_age_s=60) as api:
        found = await api.get("/health")
        assert found["status"] == "degraded"
        assert len(found["reasons"]) == 2


async def test_health_tells_a_projection_that_stands_still(
    serve: Any, world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody runs it: a few records wait, far below the bound of lag."""
    await world.apply(sealed_hour(viewers_of(2)))
    waiting = {"sealed": 3}

    async def lag() -> dict[str, int]:
        return waiting

    monkeypatch.setattr(health, "KEPT_S", 0.0)
    monkeypatch.setattr(health, "STILL_S", 0.05)
    async with serve(lag_records=lag) as api:
        assert (await api.get("/health"))["status"] == "ready"
        async with asyncio.timeout(10):
            while (found := await api.get("/health"))["status"] == "ready":
                pass
        assert "sealed applied nothing" in found["reasons"][0] and "3 records" in found["reasons"][0]
        # It goes on: what is left is being worked at.
        await world.apply(sealed_hour(viewers_of(2), epoch_start_s=T0_S + 3600))
        assert (await api.get("/health"))["status"] == "ready"
        waiting["sealed"] = 0
        for _ in range(20):
            assert (await api.get("/health"))["status"] == "ready"


async def test_health_says_that_the_log_is_away(serve: Any, world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.apply(sealed_hour(viewers_of(2)))

    async def away() -> dict[str, int]:
        raise health.LagUnknown("the broker does not answer")

    async def hanging() -> dict[str, int]:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(health, "LAG_WAIT_S", 0.05)
    for lag, word in ((away, "broker"), (hanging, "does not answer")):
        async with serve(lag_records=lag) as api:
            found = await api.get("/health")
            assert found["status"] == "degraded" and word in found["reasons"][0]


async def test_health_and_metrics_tell_standing_alarms(serve: Any, world: Any) -> None:
    hour = sealed_hour(viewers_of(2))
    wrong = msgspec.structs.replace(hour, header=msgspec.structs.replace(hour.header, root=b"\x01" * 32))
    await world.apply(wrong)
    async with serve(refresh_ms=20) as api:
        found = await api.get("/health")
        assert found["status"] == "degraded" and "seal_damaged" in found["reasons"][0]
        await world.apply(hour, sealed_hour(viewers_of(3)))
        found = await api.get("/health")
    async with serve(refresh_ms=20) as api:  # as after a restart
        found = await api.get("/health")
        assert found["stopped_channels"] == [CHANNEL]
        assert any("1 channels are stopped" in reason for reason in found["reasons"])
        await api.until_sealed(T0_S)
        text = (await api.raw("/metrics"))[2].decode()
    assert "twzrd_api_stopped_channels 1.0" in text and "twzrd_api_alarms 2.0" in text


async def test_metrics_are_of_the_documented_form(api: Any, world: Any) -> None:
    await world.apply(sealed_hour(viewers_of(2)))
    for path in ("/v1/channels", "/v1/none", "/health", f"/v1/epochs/{CHANNEL}/{T0_S}/leaves"):
        await api.raw(path)
    text = (await api.raw("/metrics"))[2].decode()
    families = list(text_string_to_metric_families(text))
    names = [family.name for family in families]
    assert len(names) == len(set(names)) > 10
    samples = [(one.name, tuple(sorted(one.labels.items()))) for family in families for one in family.samples]
    assert len(samples) == len(set(samples))


async def test_a_request_that_is_not_http_gets_400(api: Any) -> None:
    host, port = api.base.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"\x16\x03\x01 junk\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 400")
    writer.close()
    assert (await api.raw("/health"))[0] == 200


async def test_an_address_in_use_is_named(api: Any) -> None:
    port = int(api.base.rsplit(":", 1)[1])
    with pytest.raises(ApiConfigError, match=f"port {port}"):
        listen(ApiConfig(dsn="", port=port))


class Said(msgspec.Struct, forbid_unknown_fields=True):
    word: str


class EchoPart:
    """A part with one route that takes a body."""

    def routes(self) -> list[Route]:
        return [Route("echo", "v1/echo/*", {"POST": self.echo})]

    async def start(self) -> None: ...
    async def stop(self) -> None: ...

    async def echo(self, request: Request, name: str) -> Answer:
        return json_answer({name: (await request.json(Said)).word})


async def test_a_part_answers_its_routes_and_takes_bodies_within_the_bound(serve: Any) -> None:
    async with serve(parts=[EchoPart()], bounds=Bounds(body_bytes=1000, body_s=0.3)) as api:

        async def post(**more: Any) -> tuple[int, Any]:
            async with api.session.post(api.base + "/v1/echo/heard", **more) as response:
                return response.status, await response.json()

        assert await post(json={"word": "é"}) == (200, {"heard": "é"})
        status, found = await post(json={"word": 1})
        assert (status, found["code"]) == (400, "malformed") and "$.word" in found["message"]
        assert (await post(json={"word": "a", "more": 1}))[0] == 400
        assert (await post(data=b"{", headers={"content-type": "application/json"}))[1]["code"] == "malformed"
        assert (await post(data=b"{}"))[1]["code"] == "not_json"
        assert (await post(json={"word": "a" * 1000}))[1]["code"] == "body_too_large"

        async def pieces(wait: asyncio.Event | None) -> AsyncIterator[bytes]:
            yield b'{"word":"'
            if wait is not None:
                await wait.wait()
            yield b"a" * 600
            yield b"a" * 600

        json_type = {"content-type": "application/json"}
        assert (await post(data=pieces(None), headers=json_type))[1]["code"] == "body_too_large"
        assert (await post(data=pieces(asyncio.Event()), headers=json_type))[1]["code"] == "body_too_slow"
        status, headers, _ = await api.raw("/v1/echo/heard")
        assert (status, headers["Allow"]) == (405, "POST")
        assert (await api.raw("/v1/echo"))[0] == 404
