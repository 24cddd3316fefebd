"""GET proof: what the API hands out is checked as a stranger would, with nothing but the bundle."""

from typing import Any

import pytest

from schemas.bundle import decode
from schemas.seal import epoch_key, epoch_tag, viewer_key, viewer_ref
from streams.core.verify import Verified, verify_bundle
from tests.hours import CHANNEL, LOGIN, PEPPER, T0_S, sealed_hour, viewers_of

AUTHORIZED = {"Authorization": "Bearer operator-key-of-the-tests"}


def ref_of(identity: str, epoch_start_s: int = T0_S, channel: str = CHANNEL) -> bytes:
    key = epoch_key(viewer_key(identity, PEPPER), epoch_tag(channel, epoch_start_s))
    return viewer_ref(identity, key)


async def proof(api: Any, query: str, name: str = CHANNEL, start: int = T0_S, **more: Any) -> Verified:
    _, _, body = await api.raw(f"/v1/epochs/{name}/{start}/proof?{query}", **more)
    return verify_bundle(decode(body))


@pytest.mark.parametrize("count", [1, 2, 3, 37])
async def test_every_participants_ref_is_proved_present(api: Any, world: Any, count: int) -> None:
    hour = sealed_hour(viewers_of(count))
    await world.apply(hour)
    for index, ref in enumerate(hour.body.refs):
        found = await proof(api, f"ref={ref.tobytes().hex()}")
        assert (found.kind, found.index, found.header) == ("presence", index, hour.header)
        assert found.identity is None


@pytest.mark.parametrize("count", [0, 1, 2, 37])
async def test_a_ref_of_nobody_is_proved_absent_at_both_edges_and_between(api: Any, world: Any, count: int) -> None:
    hour = sealed_hour(viewers_of(count))
    await world.apply(hour)
    between = [int.from_bytes(ref.tobytes(), "big") + 1 for ref in hour.body.refs[:5]]
    for number in (0, 2**256 - 1, *between):
        ref = number.to_bytes(32, "big")
        found = await proof(api, f"ref={ref.hex()}")
        assert (found.kind, found.viewer_ref) == ("absence", ref)


async def test_a_channels_login_and_its_identity_name_the_same_epoch(api: Any, world: Any) -> None:
    await world.apply(sealed_hour(viewers_of(5)))
    ref = ref_of("twitch:id:1002").hex()
    assert await proof(api, f"ref={ref}") == await proof(api, f"ref={ref}", name=LOGIN.upper())


async def test_an_operator_proves_a_viewer_by_identity_and_by_login(api: Any, world: Any) -> None:
    await world.apply(sealed_hour(viewers_of(9)))
    for name in ("twitch:id:1004", "viewer1004", "Viewer1004"):
        found = await proof(api, f"viewer={name}", headers=AUTHORIZED)
        assert (found.kind, found.identity, found.viewer_ref) == (
            "presence",
            "twitch:id:1004",
            ref_of("twitch:id:1004"),
        )
    absent = await proof(api, "viewer=somebody_else", headers=AUTHORIZED)
    assert (absent.kind, absent.identity) == ("absence", "twitch:login:somebody_else")


async def test_a_login_that_went_to_another_viewer_still_finds_who_bore_it_then(api: Any, world: Any) -> None:
    await world.apply(
        sealed_hour([("twitch:id:1", "name"), ("twitch:id:9", "other")]),
        sealed_hour([("twitch:id:2", "name")], epoch_start_s=T0_S + 3600),
    )
    assert (await proof(api, "viewer=name", headers=AUTHORIZED)).identity == "twitch:id:1"
    assert (await proof(api, "viewer=name", start=T0_S + 3600, headers=AUTHORIZED)).identity == "twitch:id:2"


async def test_a_viewers_proof_is_private(api: Any, world: Any) -> None:
    await world.apply(sealed_hour(viewers_of(3)))
    path = f"/v1/epochs/{CHANNEL}/{T0_S}/proof?viewer=twitch:id:1001"
    assert (await api.get(path, status=401))["code"] == "unauthorized"
    assert (await api.get(path, status=403, headers={"Authorization": "Bearer wrong"}))["code"] == "forbidden"
    status, headers, _ = await api.raw(path, headers=AUTHORIZED)
    assert (status, headers["Cache-Control"]) == (200, "no-store")
    assert "ETag" not in headers


async def test_without_a_pepper_refs_are_proved_and_viewers_are_not(serve: Any, world: Any) -> None:
    await world.apply(sealed_hour(viewers_of(3)))
    async with serve(pepper=None) as api:
        assert (await proof(api, f"ref={ref_of('twitch:id:1001').hex()}")).kind == "presence"
        error = await api.get(
            f"/v1/epochs/{CHANNEL}/{T0_S}/proof?viewer=twitch:id:1001", status=501, headers=AUTHORIZED
        )
        assert error["code"] == "no_pepper"


async def test_another_pepper_than_the_seals_is_found_out(serve: Any, world: Any) -> None:
    await world.apply(sealed_hour(viewers_of(3)))
    async with serve(pepper=b"\x01" * 32) as api:
        path = f"/v1/epochs/{CHANNEL}/{T0_S}/proof?viewer=twitch:id:1001"
        assert (await api.get(path, status=409, headers=AUTHORIZED))["code"] == "other_pepper"


async def test_without_an_operator_key_private_answers_are_off(serve: Any, world: Any) -> None:
    await world.apply(sealed_hour(viewers_of(3)))
    async with serve(operator_key=None) as api:
        path = f"/v1/epochs/{CHANNEL}/{T0_S}/proof?viewer=twitch:id:1001"
        assert (await api.get(path, status=501, headers=AUTHORIZED))["code"] == "no_operator_key"


async def test_a_revision_named_is_immutable_and_the_newest_is_not(api: Any, world: Any) -> None:
    first, second = sealed_hour(viewers_of(3)), sealed_hour(viewers_of(4), revision=1)
    await world.apply(first)
    ref = ref_of("twitch:id:1003")
    path = f"/v1/epochs/{CHANNEL}/{T0_S}/proof?ref={ref.hex()}"
    status, headers, body = await api.raw(path + "&revision=0")
    assert (status, headers["Cache-Control"]) == (200, "public, max-age=31536000, immutable")
    assert headers["ETag"].startswith(f'"{first.header.hash().hex()}-')
    assert verify_bundle(decode(body)).kind == "absence"
    assert (await api.raw(path))[1]["Cache-Control"] == "public, max-age=5"

    await world.apply(second)
    await api.until_sealed(T0_S, 1)
    newest = await proof(api, f"ref={ref.hex()}")
    assert (newest.kind, newest.header.revision) == ("presence", 1)
    assert (await api.raw(path + "&revision=0"))[2] == body


async def test_a_tag_that_the_client_has_is_answered_304(api: Any, world: Any) -> None:
    await world.apply(sealed_hour(viewers_of(3)))
    path = f"/v1/epochs/{CHANNEL}/{T0_S}/proof?ref={ref_of('twitch:id:1001').hex()}&revision=0"
    _, first, _ = await api.raw(path)
    for given in (first["ETag"], f'"other", W/{first["ETag"]}', "*"):
        status, headers, body = await api.raw(path, headers={"If-None-Match": given})
        assert (status, body, headers["ETag"]) == (304, b"", first["ETag"])
        assert headers["Cache-Control"] == first["Cache-Control"]
    assert (await api.raw(path, headers={"If-None-Match": '"other"'}))[0] == 200


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/epochs/{c}/{t}/proof", 400, "malformed"),
        ("/v1/epochs/{c}/{t}/proof?ref=ab", 400, "malformed"),
        ("/v1/epochs/{c}/{t}/proof?ref=" + "AB" * 32, 400, "malformed"),
        ("/v1/epochs/{c}/{t}/proof?ref=" + "a " * 32, 400, "malformed"),
        ("/v1/epochs/{c}/{t}/proof?ref=" + "ab" * 32 + "&viewer=a", 400, "malformed"),
        ("/v1/epochs/{c}/{t}/proof?ref=" + "ab" * 32 + "&ref=" + "ab" * 32, 400, "malformed"),
        ("/v1/epochs/{c}/{t}/proof?reff=" + "ab" * 32, 400, "malformed"),
        ("/v1/epochs/{c}/{t}/proof?ref=%ff" + "ab" * 31, 400, "malformed"),
        ("/v1/epochs/{c}/{t}/proof?ref=" + "ab" * 32 + "&revision=65536", 400, "malformed"),
        ("/v1/epochs/{c}/{t}/proof?ref=" + "ab" * 32 + "&revision=-1", 400, "malformed"),
        ("/v1/epochs/{c}/{t}/proof?ref=" + "ab" * 32 + "&revision=1", 404, "unknown_epoch"),
        ("/v1/epochs/{c}/12/proof?ref=" + "ab" * 32, 404, "unknown_epoch"),
        ("/v1/epochs/{c}/later/proof?ref=" + "ab" * 32, 400, "malformed"),
        ("/v1/epochs/{c}/99999999999999999999/proof?ref=" + "ab" * 32, 400, "malformed"),
        ("/v1/epochs/nobody/{t}/proof?ref=" + "ab" * 32, 404, "unknown_channel"),
        ("/v1/epochs/twitch:id:x/{t}/proof?ref=" + "ab" * 32, 400, "malformed"),
        ("/v1/epochs//{t}/proof?ref=" + "ab" * 32, 400, "malformed"),
        ("/v1/epochs/%ff/{t}/proof?ref=" + "ab" * 32, 400, "malformed"),
        ("/v1/epochs/{c}/{t}/proofs", 404, "unknown_path"),
    ],
)
async def test_a_request_of_another_form_is_refused_by_name(
    api: Any, world: Any, path: str, status: int, code: str
) -> None:
    await world.apply(sealed_hour(viewers_of(2)))
    error = await api.get(path.format(c=CHANNEL, t=T0_S), status=status)
    assert error["code"] == code
    assert error["message"] and error["mend"]
