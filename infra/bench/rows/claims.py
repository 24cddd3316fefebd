"""Claims from the click to the chain, with every process of the claim side on the same cores as the clicks."""

from typing import Final

from infra.bench.bench import Bench
from infra.bench.claim_side import ClaimSide, claim_side
from infra.bench.racing import ContenderFailed, Ran, median, module, run
from infra.bench.table import Line, figure

NAME: Final = "claims"
WORK: Final = "claims on a local chain"
TARGET: Final = "200 claims/s over 20 s; click to confirmed under 1.5 s"
CLAIMS_A_ROUND: Final = 10_000
CLICKS_A_ROUND: Final = 120
CLICKS_PER_S: Final = 5.0
CONNECTIONS: Final = 16
NAIVE_CLAIMS: Final = 12
LEAST_S: Final = 20.0
RATE_TARGET: Final = 200.0
LATENCY_TARGET_S: Final = 1.5


def measure(bench: Bench) -> list[Line]:
    """Each round the clicks one by one, then everybody at once, then the naive way on the same chain."""
    each, everybody, naive = list[Ran](), list[Ran](), list[Ran]()
    with claim_side(bench, bench.rounds * (CLAIMS_A_ROUND + CLICKS_A_ROUND)) as side:
        at = 0
        for _ in range(bench.rounds):
            each.append(_click(side, at, CLICKS_A_ROUND, f"each:{CLICKS_PER_S}"))
            everybody.append(_click(side, at + CLICKS_A_ROUND, CLAIMS_A_ROUND, f"all:{CONNECTIONS}"))
            at += CLICKS_A_ROUND + CLAIMS_A_ROUND
            naive.append(
                run(module("infra.bench.peers.naive_claims", side.rpc_url, side.home, side.mint, str(NAIVE_CLAIMS)))
            )
    if any(one.value("claims") != CLAIMS_A_ROUND for one in everybody):
        raise ContenderFailed(f"not every claim was confirmed: {[one.output for one in everybody]}")
    rates = sorted(CLAIMS_A_ROUND / one.value("taken_s") for one in everybody)
    taken_s = median([one.value("taken_s") for one in everybody])
    clicked_s = median([one.value("clicked_s") for one in everybody])
    rate, naive_rate = median(rates), median([NAIVE_CLAIMS / one.value("taken_s") for one in naive])
    return [
        Line(
            f"{WORK}: reserve, sign, send, confirm, {CLAIMS_A_ROUND:,} in {taken_s:.0f} s",
            figure(rate, "claims/s"),
            figure(RATE_TARGET, "claims/s"),
            rate >= RATE_TARGET and taken_s >= LEAST_S,
            peer=f"{figure(naive_rate, 'claims/s')} (one at a time, solana-py)",
            ratio=f"{rate / naive_rate:.0f}",
            spread=f"{rates[0]:.0f} .. {rates[-1]:.0f}",
            note="from the first reservation to the last confirmation, finality after one slot of 400 ms; "
            f"{CONNECTIONS} connections click as fast as they are answered, which took {clicked_s:.1f} s",
        ),
        *(_latency(each, name, words) for name, words in (("p50", "median"), ("p95", "95th percentile"))),
    ]


def _click(side: ClaimSide, first: int, count: int, way: str) -> Ran:
    return run(module("infra.bench.work.click_claims", side.url, side.dsn, side.sessions, str(first), str(count), way))


def _latency(runs: list[Ran], name: str, words: str) -> Line:
    values = sorted(one.value(name) for one in runs)
    return Line(
        f"{WORK}: click to confirmed, seen by the page's long poll, {words}",
        f"{median(values):.2f} s",
        f"under {LATENCY_TARGET_S} s",
        median(values) < LATENCY_TARGET_S,
        spread=f"{values[0]:.2f} .. {values[-1]:.2f}",
    )
