"""What the read models can hold, asked of each record before any projection sees it. Pure.

In: what a record decoded to. Out: nothing, or SchemaError. A record that no table could take must not stop its
projection for ever: the database would refuse it each time it is read again. So it is put aside with an alarm, like one
that does not decode at all.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Final

from schemas import identity
from schemas.columns import MAX_AT_MS
from schemas.envelope import Envelope
from schemas.errors import SchemaError
from schemas.policy import decode_policy
from schemas.seal import COVERAGE_CODES
from schemas.sealed import Closed, Late, SealedEpoch

MAX_NAME_CHARS: Final = 512
"""Of an identity or a login; an index of Postgres takes 2,704 bytes, a character has at most four."""
MAX_START_S: Final = MAX_AT_MS // 1000
_MAX_BIGINT: Final = 2**63 - 1
_MAX_INTEGER: Final = 2**31 - 1


def check_seal(sealed: SealedEpoch) -> None:
    """Raises SchemaError naming what no table could take."""
    header, body = sealed.header, sealed.body
    identity.check(header.channel)
    _check_names("the seal", (header.channel, sealed.login, sealed.closed_by))
    _check_names("the seal's viewers", body.identities)
    _check_names("the seal's logins", body.logins)
    if len(body):
        _check_range("first_ms", int(body.first_ms.min()), 0, MAX_AT_MS)
        _check_range("last_ms", int(body.last_ms.max()), 0, MAX_AT_MS)
        _check_range("last_ms", int(body.last_ms.min()), 0, MAX_AT_MS)
    _check_policy(sealed.policy)
    _check_range("epoch_start_s", header.epoch_start_s, 0, MAX_START_S)
    _check_range("epoch_length_s", header.epoch_length_s, 1, _MAX_INTEGER)
    stats = sealed.stats
    for name in ("events", "duplicates", "conflicts", "excluded"):
        _check_range(name, getattr(stats, name), 0, _MAX_BIGINT)
    for name in ("from_offset", "through_offset"):
        _check_range(name, getattr(sealed, name), 0, _MAX_BIGINT)
    for from_ms, to_ms, kind in sealed.coverage:
        if kind not in COVERAGE_CODES or not 0 <= from_ms <= to_ms <= MAX_AT_MS:
            raise SchemaError(f"coverage [{from_ms}, {to_ms}) of kind {kind[:20]!r} is none; its writer is damaged")


def check_notice(said: Late | Closed) -> None:
    """The same of a notice."""
    identity.check(said.channel)
    _check_names("the notice", (said.channel, said.closed_by if isinstance(said, Closed) else ""))
    _check_range("offset", said.offset, 0, _MAX_BIGINT)
    if isinstance(said, Late):
        _check_range("epoch_start_s", said.epoch_start_s, 0, MAX_START_S)
        _check_range("count", said.count, 0, _MAX_BIGINT)
    else:
        _check_range("from_s", said.from_s, 0, MAX_START_S)
        _check_range("until_s", said.until_s, said.from_s, MAX_START_S)


def check_envelope(said: Envelope) -> None:
    """The same of an envelope, for boards."""
    _check_names("the envelope", (said.channel, said.login))
    _check_names("the envelope's viewers", list(chain.from_iterable(said.viewers)))


@lru_cache(maxsize=64)
def _check_policy(canonical: bytes) -> None:
    if decode_policy(canonical, "the seal's policy").canonical != canonical:
        raise SchemaError("the seal's policy is not written in its canonical form; its writer is damaged")


def _check_names(whose: str, names: Sequence[str]) -> None:
    # One search instead of one a name.
    if "\0" in "".join(names):
        raise _nul(whose)
    longest = max(map(len, names), default=0)
    if longest > MAX_NAME_CHARS:
        raise SchemaError(f"{whose}: a name has {longest} characters, over the bound of {MAX_NAME_CHARS}")


def _nul(whose: str) -> SchemaError:
    return SchemaError(
        f"{whose}: a name bears the character U+0000, which Postgres cannot keep; its writer must drop it"
    )


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise SchemaError(f"{name} is {value}, which is not within {low} to {high}; its writer is damaged")
