"""Channels, epochs, leaf dumps and viewers over HTTP: what was sealed comes out, in pages, with true validators."""

from typing import Any

import pytest
import zstandard

from schemas.policy import DEFAULT_POLICY, decode_policy
from schemas.seal import decode_header
from streams.core.verify import verify_dump
from tests.hours import CHANNEL, HOUR_S, LOGIN, T0_S, sealed_hour, viewers_of

AUTHORIZED = {"Authorization": "Bearer operator-key-of-the-tests"}
IMMUTABLE = "public, max-age=31536000, immutable"


async def test_channels_come_in_pages_by_identity(api: Any, world: Any) -> None:
    names = [f"twitch:id:{number}" for number in (100, 200, 300)]
    await world.apply(*(sealed_hour(viewers_of(1), channel=name, login=f"c{name[-3:]}") for name in names))
    first = await api.get("/v1/channels?limit=2")
    assert [one["channel"] for one in first["channels"]] == names[:2]
    assert first["channels"][0] == {
        "channel": "twitch:id:100",
        "login": "c100",
        "first_epoch_s": T0_S,
        "last_epoch_s": T0_S,
        "seals": 1,
        "stopped": False,
    }
    rest = await api.get(f"/v1/channels?limit=2&after={first['next_after']}")
    assert [one["channel"] for one in rest["channels"]] == names[2:]
    assert rest["next_after"] is None


async def test_epochs_come_newest_first_in_pages_each_in_its_newest_revision(api: Any, world: Any) -> None:
    hours = [sealed_hour(viewers_of(count), epoch_start_s=T0_S + count * HOUR_S) for count in range(5)]
    again = sealed_hour(viewers_of(9), epoch_start_s=T0_S + HOUR_S, revision=1)
    await world.apply(*hours, again)
    found: list[dict[str, Any]] = []
    before = ""
    for _ in range(3):
        page = await api.get(f"/v1/channels/{LOGIN}/epochs?limit=2{before}")
        assert page["channel"] == CHANNEL
        found += page["epochs"]
        before = f"&before={page['next_before']}"
    assert page["next_before"] is None
    assert [one["epoch_start_s"] for one in found] == [T0_S + count * HOUR_S for count in (4, 3, 2, 1, 0)]
    assert [(one["revision"], one["leaf_count"]) for one in found] == [(0, 4), (0, 3), (0, 2), (1, 9), (0, 0)]
    header = again.header
    assert found[3]["total_weight_centi"] == str(header.total_weight_centi)
    assert (found[3]["root"], found[3]["seal_hash"]) == (header.root.hex(), header.hash().hex())


async def test_an_epoch_says_everything_that_its_hash_covers(api: Any, world: Any) -> None:
    hour = sealed_hour(viewers_of(7))
    await world.apply(hour)
    found = await api.get(f"/v1/epochs/{CHANNEL}/{T0_S}")
    header = decode_header(bytes.fromhex(found["seal"]))
    assert header == hour.header
    assert found["seal_hash"] == header.hash().hex()
    assert found["coverage"] == [[T0_S * 1000, (T0_S + HOUR_S) * 1000, "live"]]
    for name in ("policy_hash", "input_digest", "coverage_hash", "pepper_commit", "root"):
        assert found[name] == getattr(header, name).hex()
    assert found["policy"] == {**found["policy"], "version": DEFAULT_POLICY.version}


@pytest.mark.parametrize("count", [0, 1, 50])
async def test_a_leaf_dump_gives_the_seals_root(api: Any, world: Any, count: int) -> None:
    hour = sealed_hour(viewers_of(count))
    await world.apply(hour)
    status, headers, body = await api.raw(f"/v1/epochs/{CHANNEL}/{T0_S}/leaves?revision=0")
    assert (status, headers["Content-Type"], headers["Cache-Control"]) == (200, "application/zstd", IMMUTABLE)
    assert headers["Content-Disposition"] == f'attachment; filename="{T0_S}.0.leaves.zst"'
    dump = zstandard.ZstdDecompressor().decompress(body)
    assert len(dump) == 96 * count
    verify_dump(hour.header, decode_policy(hour.policy), dump)


@pytest.mark.parametrize("kind", ["", "/leaves"])
async def test_what_a_revision_says_is_tagged_with_its_hash_for_ever(api: Any, world: Any, kind: str) -> None:
    hour = sealed_hour(viewers_of(4))
    await world.apply(hour)
    path = f"/v1/epochs/{CHANNEL}/{T0_S}{kind}"
    _, newest, body = await api.raw(path)
    _, named, same = await api.raw(path + "?revision=0")
    assert (newest["Cache-Control"], named["Cache-Control"]) == ("public, max-age=5", IMMUTABLE)
    assert newest["ETag"] == named["ETag"]
    assert named["ETag"].startswith(f'"{hour.header.hash().hex()}-')
    assert body == same
    status, headers, empty = await api.raw(path, headers={"If-None-Match": named["ETag"]})
    assert (status, empty, headers["ETag"]) == (304, b"", named["ETag"])


async def test_what_is_named_by_a_login_is_not_for_ever_because_logins_move(api: Any, world: Any) -> None:
    other = "twitch:id:200"
    await world.apply(sealed_hour(viewers_of(4)), sealed_hour(viewers_of(5), channel=other, login="xqc"))
    paths = [f"/v1/epochs/{LOGIN}/{T0_S}{kind}revision=0" for kind in ("?", "/leaves?", "/proof?index=0&")]
    paths.append(f"/v1/epochs/{LOGIN}/{T0_S}/proof?ref={'ab' * 32}&revision=0")
    before = [await api.raw(path) for path in paths]
    assert {headers["Cache-Control"] for _, headers, _ in before} == {"public, max-age=5"}
    # The other channel takes the login; the same address now means that one.
    await world.apply(sealed_hour(viewers_of(1), channel=other, login=LOGIN, epoch_start_s=T0_S + HOUR_S))
    await api.until_sealed(T0_S + HOUR_S)
    for path, (_, old, _) in zip(paths, before, strict=True):
        status, headers, _ = await api.raw(path, headers={"If-None-Match": old["ETag"]})
        assert (status, headers["ETag"] == old["ETag"]) == (200, False)


@pytest.mark.parametrize(
    "path",
    ["/v1/channels", "/v1/channels/{c}/epochs", "/v1/epochs/{c}/{t}", "/v1/epochs/{c}/{t}/leaves", "/health", "/docs"],
)
async def test_head_is_get_without_its_body(api: Any, world: Any, path: str) -> None:
    await world.apply(sealed_hour(viewers_of(4)))
    path = path.format(c=CHANNEL, t=T0_S)
    status, headers, body = await api.raw(path)
    head_status, head, nothing = await api.raw(path, "HEAD")
    assert (head_status, nothing) == (status, b"")
    assert int(head["Content-Length"]) == len(body)
    moving = {"Date"}
    assert {k: v for k, v in head.items() if k not in moving} == {k: v for k, v in headers.items() if k not in moving}


async def test_a_viewers_leaves_come_in_pages_with_what_they_add_up_to(api: Any, world: Any) -> None:
    hours = [sealed_hour(viewers_of(3), epoch_start_s=T0_S + number * HOUR_S) for number in range(3)]
    await world.apply(*hours, sealed_hour(viewers_of(2, 5000), epoch_start_s=T0_S + 9 * HOUR_S))
    path = "/v1/viewers/twitch:id:1002"
    first = await api.get(path + "?limit=2", headers=AUTHORIZED)
    rest = await api.get(f"{path}?limit=2&before={first['next_before']}", headers=AUTHORIZED)
    leaves = first["epochs"] + rest["epochs"]
    assert [one["epoch_start_s"] for one in leaves] == [T0_S + number * HOUR_S for number in (2, 1, 0)]
    assert rest["next_before"] is None
    total = sum(int(one["weight_centi"]) for one in leaves) * DEFAULT_POLICY.base_units_per_centi
    assert first["entitlement_base_units"] == str(total)
    assert first["logins"][0]["login"] == "viewer1002"
    assert (await api.get("/v1/viewers/viewer1002", headers=AUTHORIZED))["viewer"] == "twitch:id:1002"


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "unauthorized"),
        ({"Authorization": "Basic abc"}, 401, "unauthorized"),
        ({"Authorization": "Bearer nearly"}, 403, "forbidden"),
    ],
)
async def test_a_viewers_leaves_are_the_operators_only(
    api: Any, headers: dict[str, str], status: int, code: str
) -> None:
    assert (await api.get("/v1/viewers/twitch:id:1002", status=status, headers=headers))["code"] == code


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/channels?limit=0", 400, "malformed"),
        ("/v1/channels?limit=1001", 400, "malformed"),
        ("/v1/channels?limit=1e1", 400, "malformed"),
        ("/v1/channels?limit=", 400, "malformed"),
        ("/v1/channels?page=2", 400, "malformed"),
        ("/v1/channels?" + "&".join(f"a{n}=1" for n in range(17)), 400, "malformed"),
        ("/v1/channels/nobody/epochs", 404, "unknown_channel"),
        ("/v1/channels/{c}/epochs?before=now", 400, "malformed"),
        ("/v1/epochs/{c}/-1", 400, "malformed"),
        ("/v1/epochs/{c}/7", 404, "unknown_epoch"),
        ("/v1/epochs/{c}/{t}?revision=3", 404, "unknown_epoch"),
        ("/v1/epochs/{c}/{t}/leaves?revision=3", 404, "unknown_epoch"),
        ("/v1/epochs/{c}/{t}/", 404, "unknown_path"),
        ("/v1/", 404, "unknown_path"),
        ("/docs/../health", 200, ""),
        ("/docs/%2e%2e%2fpyproject.toml", 404, "unknown_path"),
    ],
)
async def test_what_is_not_there_or_not_of_the_form_is_refused(
    api: Any, world: Any, path: str, status: int, code: str
) -> None:
    await world.apply(sealed_hour(viewers_of(1)))
    found = await api.get(path.format(c=CHANNEL, t=T0_S), status=status)
    assert found.get("code", "") == code


async def test_nothing_of_a_request_comes_back_as_markup(api: Any) -> None:
    status, headers, _ = await api.raw("/v1/channels/%3Cscript%3Ealert(1)%3C%2Fscript%3E/epochs")
    assert status in (400, 404)
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
