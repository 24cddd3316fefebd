"""Queries, numbers, hex and names of requests: only the documented form passes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claim_api.config import ApiConfig, Bounds
from claim_api.epochs import channel_name
from claim_api.errors import ApiConfigError, ApiError
from claim_api.request import Request, hex32, whole


def request(query: bytes = b"", path: str = "/", method: str = "GET", **headers: str) -> Request:
    scope: dict[str, Any] = {
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    return Request(scope, Bounds())


def test_a_querys_fields_are_decoded_once() -> None:
    assert request(b"a=1&b=x%20y+z&c=%C3%A9&d=").query("abcd") == {"a": "1", "b": "x y z", "c": "é", "d": ""}
    assert request(b"a=%2525").query("a") == {"a": "%25"}
    assert request(b"a=b=c").query("a") == {"a": "b=c"}


@pytest.mark.parametrize(
    "query", [b"a", b"&", b"a=1&", b"a=1&a=1", b"z=1", b"a=%ff", b"a=\xff", b"a=x%00", b"a=1&" * 20]
)
def test_a_query_of_another_form_is_refused(query: bytes) -> None:
    with pytest.raises(ApiError) as error:
        request(query).query("a")
    assert error.value.status == 400


@given(st.binary(max_size=200))
def test_any_bytes_are_a_query_or_a_refusal(query: bytes) -> None:
    try:
        found = request(query).query(("ref", "a"))
    except ApiError as error:
        assert error.status == 400
    else:
        assert set(found) <= {"ref", "a"}


@given(st.text(max_size=80))
def test_any_text_is_a_name_or_a_refusal(text: str) -> None:
    try:
        found = channel_name(text)
    except ApiError as error:
        assert error.status == 400
    else:
        assert found == channel_name(found)
        assert not set(found) & set(" \t\r\n/<\0") or "<" in found


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.0", "1e3", " 1", "١", "9" * 20, "11"])
def test_a_number_out_of_its_range_or_form_is_refused(text: str) -> None:
    with pytest.raises(ApiError):
        whole("n", text, 0, 10)


@pytest.mark.parametrize("text", ["", "ab" * 31, "AB" * 32, "zz" * 32, "ab " * 21 + "a", " " + "ab" * 31 + "a"])
def test_a_hash_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ApiError):
        hex32("ref", text)


def test_the_operators_key_is_asked_for_and_compared_whole() -> None:
    key = "k" * 20
    request(authorization=f"Bearer {key}").check_operator(key)
    request(authorization=f"bearer {key}").check_operator(key)
    for given_header, status in ((key, 401), (f"Bearer {key}x", 403), (f"Bearer {key[:-1]}", 403), ("Bearer ", 403)):
        with pytest.raises(ApiError) as error:
            request(authorization=given_header).check_operator(key)
        assert error.value.status == status


def test_a_config_that_cannot_be_is_refused_and_secrets_are_not_shown() -> None:
    for changes in ({"pepper": b"short"}, {"operator_key": "short"}, {"port": 70_000}):
        with pytest.raises(ApiConfigError):
            ApiConfig(dsn="", **changes)
    shown = repr(ApiConfig(dsn="postgresql://u:secret@h/d", pepper=b"p" * 32, operator_key="secret" * 4))
    assert "secret" not in shown
    assert "ppp" not in shown
