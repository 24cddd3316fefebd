"""The viewer's page as files: what is served and how, whole texts, nothing from elsewhere, vendored bytes untouched."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from claim_api.config import Bounds
from claim_api.errors import ApiError
from claim_api.page import StaticPages
from claim_api.page.static import CLAIM_FOLDER, claim_pages
from claim_api.request import Request

OURS = sorted(file for file in CLAIM_FOLDER.rglob("*.js") if "vendor" not in file.parts)
TEXTS = json.loads((CLAIM_FOLDER / "en.json").read_text())
# Keys put together from values of the server: each group with what may stand behind it.
MADE = {
    "step.": ("reserved", "signed", "sent", "confirmed"),
    "said.": ("reserved", "signed", "sent", "confirmed"),
    "claims.after.": ("reserved", "signed", "sent", "confirmed"),
    "hours.": ("claimable", "pending", "claimed", "stopped"),
    "totals.": ("entitled", "claimed", "pending", "claimable"),
    "claim.fee.": ("server", "viewer"),
    "connection.": ("away", "busy"),
    "sign_in.": ("state", "denied", "expired", "revoked", "client", "busy", "away", "garbled"),
    "weeks.column.": ("week", "amount", "hours", "observed"),
    "welcome.": ("identity", "proof", "forget"),
    "forget.means.": ("events", "past", "claims", "back"),
    "proof.outcome.": ("good", "bad", "none", "unreached"),
    "proof.part.": ("presence", "subs", "resubs", "gifts", "bits", "raidViewers"),
    "proof.says.": ("presence", "absence"),
}


def request(path: str, query: bytes = b"") -> Request:
    return Request({"path": path, "query_string": query, "headers": [], "method": "GET"}, Bounds())


@pytest.mark.parametrize("path", ["/claim", "/claim-v2"])
async def test_the_page_is_served_with_its_policy_whatever_the_query(path: str) -> None:
    answer = await StaticPages().page(request(path, b"sign_in=denied&utm_source=x"))
    headers = dict(answer.headers)
    assert answer.status == 200 and headers[b"content-type"] == b"text/html; charset=utf-8"
    assert (
        b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'"
        in (headers[b"content-security-policy"])
    )
    assert b"unsafe" not in headers[b"content-security-policy"] and headers[b"cache-control"] == b"no-cache"


def test_every_file_is_served_as_what_it_is() -> None:
    pages = claim_pages()
    for file in CLAIM_FOLDER.rglob("*"):
        path = f"/claim/{file.relative_to(CLAIM_FOLDER).as_posix()}"
        if file.is_dir() or file.name in ("index.html", "vendor.sha256"):
            assert path not in pages
            continue
        kind = {".js": b"text/javascript", ".css": b"text/css", ".json": b"application/json"}.get(
            file.suffix, b"text/plain"
        )
        assert dict(pages[path].headers)[b"content-type"].startswith(kind), path
        assert pages[path].body == file.read_bytes()


async def test_what_is_no_file_of_the_page_is_not_found() -> None:
    for path in ("/claim/../__init__.py", "/claim/none.js", "/claim/vendor/vendor.sha256"):
        with pytest.raises(ApiError) as found:
            await StaticPages().page(request(path))
        assert found.value.status == 404


def test_vendored_files_are_the_published_ones() -> None:
    vendor = CLAIM_FOLDER / "vendor"
    lines = [line.split("  ") for line in (vendor / "vendor.sha256").read_text().splitlines()]
    listed = {name: digest for digest, name in lines}
    found = {
        file.relative_to(vendor).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in vendor.glob("*/*")
    }
    assert found == listed
    assert {Path(name).name for name in found if name.endswith("LICENSE")} == {"LICENSE"} and len(found) == 9


def test_files_are_short_and_import_what_is_there() -> None:
    assert len(OURS) >= 20
    for file in OURS:
        text = file.read_text()
        assert text.startswith("//"), f"{file.name} does not say where it stands"
        assert len(text.splitlines()) < 300, file.name
        for found in re.findall(r'from "([^"]+)"', text):
            assert (file.parent / found).resolve().is_relative_to(CLAIM_FOLDER), found
            assert (file.parent / found).exists(), found


def test_nothing_becomes_markup_and_nothing_comes_from_elsewhere() -> None:
    for file in OURS:
        text = file.read_text()
        for word in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "DOMParser",
        ):
            assert word not in text, f"{file.name}: {word}"
        for call in re.findall(r"fetch\(([^)]*)", text):
            assert call.startswith(("path", '"/claim/"')), f"{file.name}: fetch({call}"
    page = (CLAIM_FOLDER / "index.html").read_text()
    assert re.findall(r'(?:src|href)="([^"#d][^"]*)"', page) == [
        "/claim/base.css",
        "/claim/claim.css",
        "/claim/main.js",
    ]
    assert "style=" not in page and "<style" not in page
    assert "url(" not in "".join(file.read_text() for file in CLAIM_FOLDER.glob("*.css"))


def test_every_text_that_is_asked_for_is_there() -> None:
    for file in OURS:
        for key in re.findall(r'\bt\(\s*"([^"]+)"\s*[,)]', file.read_text()):
            assert key in TEXTS, f"{file.name}: {key}"
    for group, values in MADE.items():
        for value in values:
            assert group + value in TEXTS, group + value


def test_every_text_is_asked_for() -> None:
    code = "\n".join(file.read_text() for file in OURS)
    whole = set(re.findall(r'"([a-z_][\w.-]*)"', code))
    made = {group + value + tail for group, values in MADE.items() for value in values for tail in ("", ".text")}
    groups = (
        "error.",
        "held.",
        "wallet.",
        "sign.",
        "bytes.",
        "proof.step.",
        "proof.good.",
        "proof.bad.",
        "proof.none.",
    )
    unused = [key for key in TEXTS if key not in whole | made and not key.startswith(groups)]
    assert unused == []
    for step in (
        "connecting",
        "asking",
        "signing",
        "saving",
        "refused",
        "no-account",
        "network",
        "other-account",
        "differs",
    ):
        assert f"wallet.{step}" in TEXTS and f"wallet.{step}.text" in TEXTS
    for step in (
        "idle",
        "asking",
        "choose",
        "connecting",
        "signing",
        "sending",
        "refused",
        "other-account",
        "cannot-sign",
        "network",
    ):
        assert f"sign.{step}" in TEXTS and f"sign.{step}.text" in TEXTS


def test_every_step_and_byte_of_a_proof_has_its_words() -> None:
    check = (CLAIM_FOLDER / "proof" / "check.js").read_text() + (CLAIM_FOLDER / "view" / "proof.js").read_text()
    steps = {
        step for line in re.findall(r"(?:presence|absence): \[(.*?)\]", check) for step in re.findall(r'"(\w+)"', line)
    }
    assert len(steps) == 11
    for step in (*steps, "same", "published"):
        assert f"proof.step.{step}" in TEXTS and f"proof.good.{step}" in TEXTS
    names = re.findall(r'\["([a-z-]+)", (?:hex\(|text\]|epochKey|ref\]|left &&|right &&|sealHash|epoch\.)', check)
    assert len(set(names)) >= 14
    for name in names:
        assert f"bytes.{name}" in TEXTS, name
