"""Token buckets: how often, by whom, and which address counts behind proxies."""

from ipaddress import ip_network
from typing import Any

import pytest

from claim_api.config import Bounds
from claim_api.errors import ApiError
from claim_api.limits import Limits, Rate
from claim_api.part_counters import PartCounters
from claim_api.request import Request


def request(peer: str, *forwarded: str) -> Request:
    scope: dict[str, Any] = {
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "client": (peer, 1),
        "headers": [(b"x-forwarded-for", one.encode()) for one in forwarded],
    }
    return Request(scope, Bounds())


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def limits(clock: Clock, *trusted: str, max_buckets: int = 100) -> tuple[Limits, PartCounters]:
    counters = PartCounters()
    rates = {"r": Rate(3, 60), "other": Rate(1, 1)}
    return Limits(counters, rates, [ip_network(one) for one in trusted], clock, max_buckets), counters


def test_a_burst_then_one_a_second_and_retry_after_says_when() -> None:
    clock = Clock()
    ours, counters = limits(clock)
    for _ in range(3):
        ours.take("r", "a")
    with pytest.raises(ApiError) as caught:
        ours.take("r", "a")
    assert (caught.value.status, caught.value.code) == (429, "rate_limited")
    assert caught.value.headers == ((b"retry-after", b"1"),)
    assert counters.counts["limited", "r"] == 1
    ours.take("r", "b")
    ours.take("other", "a")
    clock.now_s += 1
    ours.take("r", "a")
    with pytest.raises(ApiError):
        ours.take("r", "a")


def test_a_refusal_costs_nothing_and_rest_fills_no_more_than_the_burst() -> None:
    clock = Clock()
    ours, _ = limits(clock)
    for _ in range(3):
        ours.take("r", "a")
    for _ in range(50):
        with pytest.raises(ApiError):
            ours.take("r", "a")
    clock.now_s += 3600
    for _ in range(3):
        ours.take("r", "a")
    with pytest.raises(ApiError):
        ours.take("r", "a")


def test_buckets_are_bounded_and_the_least_used_goes_first() -> None:
    ours, counters = limits(Clock(), max_buckets=2)
    for who in ("a", "b", "a", "c"):
        ours.take("r", who)
    assert counters.gauges["limit_buckets"]() == 2
    assert counters.counts["limit_buckets_dropped", "r"] == 1
    assert list(ours._buckets["r"]) == ["a", "c"]


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.5", [], "203.0.113.5"),
        ("203.0.113.5", ["198.51.100.1"], "203.0.113.5"),  # not a proxy of ours: its word is nothing
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),  # the first is the client's own invention
        ("10.0.0.1", ["1.1.1.1", "198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["1.1.1.1, nonsense"], "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("2001:db8:1:2:3:4:5:6", [], "2001:db8:1:2::/64"),
        ("10.0.0.1", ["2001:db8:1:2:aaaa::1"], "2001:db8:1:2::/64"),
        ("", [], "unknown"),
    ],
)
def test_the_address_is_the_nearest_that_no_proxy_of_ours_has(peer: str, forwarded: list[str], address: str) -> None:
    ours, _ = limits(Clock(), "10.0.0.0/8")
    assert ours.address(request(peer, *forwarded)) == address


def test_without_trusted_proxies_the_header_means_nothing() -> None:
    ours, _ = limits(Clock())
    assert ours.address(request("10.0.0.1", "198.51.100.1")) == "10.0.0.1"


def test_a_household_of_ipv6_has_one_bucket() -> None:
    ours, _ = limits(Clock())
    for n in range(3):
        ours.take_of_address("r", request(f"2001:db8::{n}"))
    with pytest.raises(ApiError):
        ours.take_of_address("r", request("2001:db8::ffff:1"))
    ours.take_of_address("r", request("2001:db8:0:1::1"))
