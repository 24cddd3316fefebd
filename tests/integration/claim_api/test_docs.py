"""The docs page and the OpenAPI document: they describe the routes there are, and a real browser draws them."""

import asyncio
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from claim_api.openapi import DOCUMENT
from claim_api.openapi.seals import PATHS
from tests.hours import CHANNEL, T0_S, sealed_hour, viewers_of

AUTHORIZED = {"Authorization": "Bearer operator-key-of-the-tests"}
VALUES = {"c": CHANNEL, "t": str(T0_S), "v": "twitch:id:1001"}
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=5000",
]


def target(path: str) -> str:
    return re.sub(r"\{(\w)\}", lambda found: VALUES[found[1]], path)


@pytest.mark.parametrize("path", [path for path in PATHS if path != "/v1/stream"])
async def test_every_path_of_the_description_answers_with_its_fields(api: Any, world: Any, path: str) -> None:
    await world.apply(sealed_hour(viewers_of(3)))
    get = PATHS[path]["get"]
    query = "?ref=" + "ab" * 32 if path.endswith("/proof") else ""
    status, headers, body = await api.raw(target(path) + query, headers=AUTHORIZED)
    assert status == 200
    (kind,) = get["responses"]["200"]["content"]
    assert headers["Content-Type"].startswith(kind)
    schema = get["responses"]["200"]["content"][kind]["schema"]
    if kind == "application/json" and path != "/openapi.json":
        assert list(undescribed(schema, json.loads(body), path)) == []
    assert body


def undescribed(schema: Any, found: Any, where: str) -> Iterator[str]:
    """Fields that the answer has and the description lacks, or the other way round; of several forms, the nearest."""
    if "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    forms = schema.get("anyOf") or schema.get("oneOf")
    if forms:
        if found is not None:
            yield from min((list(undescribed(form, found, where)) for form in forms), key=len)
    elif isinstance(found, dict) and "properties" in schema:
        yield from (f"{where}.{name} is not described" for name in set(found) - set(schema["properties"]))
        yield from (f"{where}.{name} is not there" for name in set(schema["required"]) - set(found))
        for name in set(found) & set(schema["properties"]):
            yield from undescribed(schema["properties"][name], found[name], f"{where}.{name}")
    elif isinstance(found, dict | list | str | int | bool) and "type" in schema:
        kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "null": type(None)}
        if not isinstance(found, kinds[schema["type"]]):
            yield f"{where} is no {schema['type']}"
        for one in found if isinstance(found, list) else ():
            yield from undescribed(schema.get("items", {}), one, f"{where}[]")


@pytest.mark.parametrize("path", [path for path in PATHS if path.startswith("/v1/")])
async def test_a_field_that_the_description_lacks_is_refused_and_one_that_it_has_is_known(
    api: Any, world: Any, path: str
) -> None:
    await world.apply(sealed_hour(viewers_of(3)))
    assert "field" in (await api.get(target(path) + "?other=1", status=400, headers=AUTHORIZED))["message"]
    for parameter in PATHS[path]["get"]["parameters"]:
        if parameter["in"] == "query":
            # Given twice, a field that is known is refused for that.
            twice = f"?{parameter['name']}=1&{parameter['name']}=1"
            assert "once" in (await api.get(target(path) + twice, status=400, headers=AUTHORIZED))["mend"]


async def test_the_description_is_served_with_a_tag_and_refers_only_to_what_it_has(api: Any) -> None:
    found = await api.get("/openapi.json")
    assert found["openapi"].startswith("3.1")
    names = set(re.findall(r"#/components/schemas/(\w+)", str(found)))
    assert names <= set(found["components"]["schemas"])
    _, headers, _ = await api.raw("/openapi.json")
    assert (await api.raw("/openapi.json", headers={"If-None-Match": headers["ETag"]}))[0] == 304


async def test_the_page_allows_nothing_from_elsewhere_and_has_no_inline_script(api: Any) -> None:
    status, headers, body = await api.raw("/docs")
    policy = headers["Content-Security-Policy"]
    assert status == 200
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    text = body.decode()
    assert not re.search(r"https?://|<script>|<style|\son\w+=|\sstyle=", text)
    _, _, script = await api.raw("/docs/docs.js")
    assert not re.search(rb"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", script)
    assert (await api.raw("/"))[1]["Location"] == "/docs"


@pytest.mark.browser
@pytest.mark.skipif(BROWSER is None, reason="NOT TESTED IN A BROWSER: no chromium; apt-get install chromium")
@pytest.mark.parametrize("size", ["1280,1000", "500,900"])
async def test_a_browser_draws_every_path_of_the_description(api: Any, world: Any, tmp_path: Path, size: str) -> None:
    await world.apply(sealed_hour(viewers_of(3)))
    assert BROWSER is not None
    process = await asyncio.create_subprocess_exec(
        BROWSER,
        *FLAGS,
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--window-size={size}",
        "--enable-logging=stderr",
        "--dump-dom",
        api.base + "/docs",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    dom = out.decode()
    for path in DOCUMENT["paths"]:
        assert f'<span class="path">{path}</span>' in dom
    for name in DOCUMENT["components"]["schemas"]:
        assert f'<span class="path">{name}</span>' in dom
    assert 'class="pill ready"' in dom
    assert "Content Security Policy" not in err.decode()
    assert "CONSOLE" not in err.decode()
