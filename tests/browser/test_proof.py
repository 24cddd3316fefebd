"""The page's proof checker inside Chromium: it takes what `twzrd verify` takes, and refuses what that refuses."""

import copy
import json
import random
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from blake3 import blake3
from playwright.async_api import Browser, Page, expect

from schemas import bundle as bundles
from schemas.bundle import ViewerOpening
from schemas.errors import TwzrdError
from schemas.policy import DEFAULT_POLICY
from schemas.seal import decode_header, epoch_key, epoch_tag, viewer_key, viewer_ref
from streams.core.merkle import merkle_root
from streams.core.proofs import ProvableEpoch
from streams.core.verify import verify_bundle
from tests.browser.conftest import Visit
from tests.browser.made_hours import MadeHour, provable
from tests.browser.scripted_claims import ScriptedClaims
from tests.browser.viewing import new_context
from tests.hours import PEPPER, sealed_hour, viewers_of

SPEC = Path(__file__).parents[2] / "docs" / "spec.md"
CHECK = """async (texts) => {
  const { checkBundle } = await import("/claim/proof/check.js");
  return texts.map((text) => {
    const { good, kind, steps, facts } = checkBundle(text);
    const bad = steps.find((step) => step.outcome === "bad");
    const shown = facts && {...facts, weightCenti: String(facts.weightCenti), baseUnits: String(facts.baseUnits)};
    return { good, kind, facts: shown, step: bad?.step ?? null, reason: bad?.reason ?? null };
  });
}"""
Check = Callable[[list[str]], Any]


@pytest_asyncio.fixture(loop_scope="session")
async def page(chromium: Browser, base: str) -> AsyncIterator[Page]:
    context = await new_context(chromium)
    page = await context.new_page()
    await page.goto(f"{base}/claim")
    yield page
    await context.close()


def golden(kind: str) -> dict[str, Any]:
    """The specification's example of that kind."""
    found = re.search(rf"```json example={kind}\n(.*?)```", SPEC.read_text(), re.S)
    assert found is not None
    made: dict[str, Any] = json.loads(found[1])
    return made


def opened(identity: str, channel: str, epoch_start_s: int) -> tuple[bytes, ViewerOpening]:
    """Ref and opening of that viewer."""
    key = epoch_key(viewer_key(identity, PEPPER), epoch_tag(channel, epoch_start_s))
    return viewer_ref(identity, key), ViewerOpening(identity=identity, epoch_key=key.hex())


def fresh(sizes: list[int]) -> list[str]:
    """Bundles of the core: each viewer of small trees, some of large ones, and those who are absent."""
    made = []
    for size in sizes:
        sealed = sealed_hour(viewers_of(size))
        tree = provable(sealed)
        there = [f"twitch:id:{1000 + n}" for n in range(size)]
        for identity in (there if size < 20 else there[:: size // 7]) + ["twitch:id:1", "twitch:id:2", "twitch:id:3"]:
            ref, opening = opened(identity, sealed.header.channel, sealed.header.epoch_start_s)
            made.append(bundles.encode(tree.prove(ref, opening)).decode())
            made.append(bundles.encode(tree.prove(ref, None)).decode())
    return made


def taken_by_python(text: str) -> bool:
    """What `twzrd verify` says."""
    try:
        verify_bundle(bundles.decode(text))
    except TwzrdError:
        return False
    return True


async def test_the_golden_bundles_of_the_specification_hold(page: Page) -> None:
    texts = [json.dumps(golden(kind)) for kind in ("presence", "absence")]
    presence, absence = await page.evaluate(CHECK, texts)
    verified = verify_bundle(bundles.decode(texts[0]))
    assert presence["good"] and absence["good"]
    assert presence["facts"] == {
        "channel": verified.header.channel,
        "epochStartS": verified.header.epoch_start_s,
        "epochLengthS": verified.header.epoch_length_s,
        "revision": verified.header.revision,
        "sealHash": verified.header.hash().hex(),
        "identity": verified.identity,
        "weightCenti": str(verified.weight_centi),
        "baseUnits": str(verified.amount_base_units),
    }
    assert absence["kind"] == "absence" and absence["facts"]["weightCenti"] == "0"


async def test_fresh_bundles_of_trees_of_every_shape_hold(page: Page) -> None:
    texts = fresh([*range(1, 18), 31, 32, 33, 1000])
    assert all(taken_by_python(text) for text in texts)
    found = await page.evaluate(CHECK, texts)
    assert [one["reason"] for one in found if not one["good"]] == []
    assert {one["kind"] for one in found} == {"presence", "absence"}


async def test_an_amount_beyond_what_numbers_hold_is_read_to_its_last_digit(page: Page) -> None:
    policy = msgspec.structs.replace(DEFAULT_POLICY, base_units_per_centi=2**63 - 1)
    sealed = sealed_hour(viewers_of(3), policy=policy)
    tree = provable(sealed)
    ref, opening = opened("twitch:id:1001", sealed.header.channel, sealed.header.epoch_start_s)
    text = bundles.encode(tree.prove(ref, opening)).decode()
    (found,) = await page.evaluate(CHECK, [text])
    assert found["good"]
    assert int(found["facts"]["baseUnits"]) == verify_bundle(bundles.decode(text)).amount_base_units


def flipped(text: str, at: int) -> str:
    """One hex digit is another one."""
    return text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :]


def mutated(good: dict[str, Any], random: random.Random) -> list[dict[str, Any]]:
    """One thing of the bundle is another thing, in every field and at many bytes of each."""
    made = []

    def but(change: Callable[[dict[str, Any]], None]) -> None:
        changed = copy.deepcopy(good)
        change(changed)
        made.append(changed)

    for field in good:
        but(lambda one, field=field: one.pop(field))  # type: ignore[misc]
        but(lambda one, field=field: one.update({field: 7}))  # type: ignore[misc]
    but(lambda one: one.update(other=1))
    but(lambda one: one["policy"].update(grace_s=121))
    but(lambda one: one["policy"].update(epoch_length_s=1800))
    but(lambda one: one["policy"]["weights_centi"].update(bit=2))
    but(lambda one: one["policy"]["excluded_logins"].append("zz"))
    but(lambda one: one["viewer"].update(identity="twitch:id:1"))
    for place in random.sample(range(64), 8):
        but(lambda one, place=place: one["viewer"].update(epoch_key=flipped(one["viewer"]["epoch_key"], place)))  # type: ignore[misc]
    header = decode_header(bytes.fromhex(good["seal"]))
    seal_chars = len(good["seal"])
    free = {"revision": (20, 24), "sums, digests": (seal_chars - 5 * 64 - 32, seal_chars - 5 * 64)}
    assert header.revision == 0
    for place in range(seal_chars):
        # What a bundle cannot vouch for by itself: revision, the sums, and hashes of what is not in it.
        inside = any(start <= place < end for start, end in free.values()) or place >= seal_chars - 3 * 64
        if not inside:
            but(lambda one, place=place: one.update(seal=flipped(one["seal"], place)))  # type: ignore[misc]
    for part in [good] if good["kind"] == "presence" else [good["left"], good["right"]]:
        name = next((key for key in ("left", "right") if good.get(key) is part), None)

        def of(one: dict[str, Any], name: str | None = name) -> dict[str, Any]:
            return one[name] if name else one

        for place in range(192):
            but(lambda one, place=place, of=of: of(one).update(leaf=flipped(of(one)["leaf"], place)))  # type: ignore[misc]
        for n in range(len(part["path"])):
            place = random.randrange(64)
            but(lambda one, n=n, place=place, of=of: of(one)["path"].__setitem__(n, flipped(of(one)["path"][n], place)))  # type: ignore[misc]
        but(lambda one, of=of: of(one)["path"].pop())  # type: ignore[misc]
        but(lambda one, of=of: of(one)["path"].append("00" * 32))  # type: ignore[misc]
        but(lambda one, of=of: of(one)["path"].reverse())  # type: ignore[misc]
    if good["kind"] == "absence":
        but(lambda one: one.update(left=None))
        but(lambda one: one.update(right=None))
        but(lambda one: one.update(left=None, right=None))
        but(lambda one: one.update(left=one["right"], right=one["left"]))
        but(lambda one: one.update(viewer=None, viewer_ref=one["left"]["leaf"][32:96]))
    return made


@pytest.mark.parametrize("kind", ["presence", "absence"])
async def test_one_change_anywhere_is_refused_as_python_refuses_it(page: Page, seed: int, kind: str) -> None:
    sealed = sealed_hour(viewers_of(11))
    tree = provable(sealed)
    good = None
    for n in range(100):
        identity = f"twitch:id:{1003 if kind == 'presence' else n}"
        ref, opening = opened(identity, sealed.header.channel, sealed.header.epoch_start_s)
        good = json.loads(bundles.encode(tree.prove(ref, opening)))
        if kind == "presence" or (good["left"] and good["right"]):
            break
    assert good is not None and good["kind"] == kind
    texts = [json.dumps(one) for one in mutated(good, random.Random(seed))]
    texts += [
        text.replace('"v": 1', f'"v": {other}', 1)
        for text in [json.dumps(good)]
        for other in ("2", "1.5", "true", '"1"')
    ]
    texts += ["", "{", "null", "[]", json.dumps(good)[:-1], json.dumps(good).replace(": null", ': "x"')]
    assert [text for text in texts if taken_by_python(text)] == []
    found = await page.evaluate(CHECK, texts)
    assert [texts[n] for n, one in enumerate(found) if one["good"]] == []
    assert all(one["step"] and one["reason"] for one in found)
    assert len({one["step"] for one in found}) >= 5


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        (1, "layout"),
        (2, "layout"),
        (8, "epoch"),
        (48, "weight"),
        (60, "weight"),
        (72, "weight"),
        (88, "tag"),
    ],
)
async def test_a_leaf_that_breaks_a_rule_is_refused_even_under_its_own_root(page: Page, at: int, reason: str) -> None:
    sealed = sealed_hour(viewers_of(5))
    leaves = sealed.preimages().copy()
    leaves[:, at] ^= 1
    root = merkle_root(leaves)
    header = msgspec.structs.replace(sealed.header, root=root).encode()
    bundle = ProvableEpoch(header, sealed.policy, leaves).prove(leaves[2, 16:48].tobytes())
    text = bundles.encode(bundle).decode()
    assert not taken_by_python(text)
    (found,) = await page.evaluate(CHECK, [text])
    assert not found["good"] and found["reason"] in (reason, f"leaf-{reason}")


async def test_an_index_beyond_the_tree_is_refused_before_its_path(page: Page) -> None:
    bundle = json.loads(fresh([4])[0])
    bundle["leaf"] = bundle["leaf"][:8] + "04000000" + bundle["leaf"][16:]
    assert not taken_by_python(json.dumps(bundle))
    (found,) = await page.evaluate(CHECK, [json.dumps(bundle)])
    assert found["reason"] == "leaf-index"


async def test_every_reason_has_its_words(page: Page, base: str) -> None:
    words = await page.evaluate("fetch('/claim/en.json').then((answer) => answer.json())")
    for file in ("bundle", "evidence", "check"):
        source = await page.evaluate(f"fetch('/claim/proof/{file}.js').then((answer) => answer.text())")
        for reason in re.findall(r"(?:Refused|refuse)\(\"([a-z-]+)\"[,)]", source):
            assert f"proof.bad.{reason}" in words, reason
    for name in ("prefix", "layout", "epoch", "tag", "index"):
        assert f"proof.bad.leaf-{name}" in words


async def test_my_proof_is_checked_step_by_step_and_downloaded(
    visit: Visit, scripted: ScriptedClaims, hours: list[MadeHour], tmp_path: Path
) -> None:
    tab = await (await visit()).sign_in()
    check = tab.page.get_by_role("button", name=re.compile("Check my proof of forsen, Wed 25 Nov"))
    await check.click()
    await tab.see("It holds.")
    await tab.see("Ann_ö took part in forsen on Wed 25 Nov")
    await expect(tab.page.locator(".checks li.good")).to_have_count(9)
    await expect(tab.page.locator(".checks li.none")).to_have_count(1)  # no database behind: the seal is not published
    await tab.see("1 × 100 for being there")
    async with tab.page.expect_download() as coming:
        await tab.page.get_by_role("button", name="Download the bundle").click()
    download = await coming.value
    await download.save_as(tmp_path / download.suggested_filename)
    assert (tmp_path / "proof-twitch-id-100-1795626000.json").read_bytes() == hours[0].bundle(scripted.identity)
    await tab.page.keyboard.press("Escape")
    assert (await tab.is_focused()).startswith("proof|twitch:id:100|")


async def test_a_proof_of_another_hour_is_no_proof_of_this_one(visit: Visit, hours: list[MadeHour]) -> None:
    tab = await (await visit()).sign_in()
    other = next(one for one in hours[1:] if one.sealed.login == "forsen").bundle("twitch:id:1007")
    await tab.page.route("**/v1/me/proof*", lambda route: route.fulfill(body=other, content_type="application/json"))
    await tab.page.get_by_role("button", name=re.compile("Check my proof of forsen, Wed 25 Nov")).click()
    await tab.see("It does not hold.")
    await tab.see("It is a proof of something else than this line of the list.")


async def test_a_wrong_file_says_which_step_fails(visit: Visit, hours: list[MadeHour]) -> None:
    tab = await (await visit()).open()
    wrong = json.loads(hours[0].bundle("twitch:id:1007"))
    wrong["path"][0] = blake3(b"").hexdigest()
    files = [
        (json.dumps(wrong).encode(), "It leads to another root: this leaf is not in the sealed tree.", 7),
        (b"not JSON", "It is no JSON, so it is no bundle.", 0),
        (b"x" * 2_000_000, "It is no JSON, so it is no bundle.", 0),
    ]
    for body, sentence, good in files:
        await tab.page.set_input_files(
            "#proof-file", {"name": "b.json", "mimeType": "application/json", "buffer": body}
        )
        await tab.see("It does not hold.")
        await tab.see(sentence)
        await expect(tab.page.locator(".checks li.good")).to_have_count(good)
        await expect(tab.page.locator(".checks li.bad")).to_have_count(1)
        await tab.looks_right("proof-wrong")
        await tab.page.get_by_role("button", name="Close").click()


async def test_a_dropped_file_is_checked_by_whoever_is_not_signed_in(visit: Visit, hours: list[MadeHour]) -> None:
    tab = await (await visit()).open()
    text = hours[0].bundle("twitch:id:5").decode()
    transfer = await tab.page.evaluate_handle(
        "(text) => { const d = new DataTransfer(); d.items.add(new File([text], 'b.json')); return d; }", text
    )
    await tab.page.dispatch_event(".desk", "drop", {"dataTransfer": transfer})
    await tab.see("It holds.")
    await tab.see("does not stand among those who took part")
    await tab.looks_right("proof-absence")
