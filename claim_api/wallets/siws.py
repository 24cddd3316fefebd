"""Sign-In With Solana: the one text we ask a wallet to sign, read back strictly, and the proof that it did. Pure.

In: fields, or signed bytes with a signature. Out: a text, a SignIn, or SiwsError naming the field that is off. The
server and, again, the signer hold a binding to this. Source: the sign-in message of Solana's Wallet Standard
(@solana/wallet-standard-util, createSignInMessageText); ours always has every field below and no other.
"""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from solders.pubkey import Pubkey

from claim_api.wallets import ed25519, off_chain
from schemas.errors import TwzrdError

STATEMENT: Final = "Pay the rewards of my Twitch account to this wallet. Signing is free and moves no funds."
VERSION: Final = "1"
MAX_MESSAGE_BYTES: Final = 1_212
"""What a hardware wallet takes."""
LIFE_S: Final = 600
"""Between issuedAt and expirationTime."""

_HEADLINE: Final = " wants you to sign in with your Solana account:"
_LABELS: Final = ("URI: ", "Version: ", "Chain ID: ", "Nonce: ", "Issued At: ", "Expiration Time: ")
_FIELDS: Final = ("uri", "version", "chain_id", "nonce", "issued_at", "expiration_time")
_EMPTY: Final = re.compile("")
_TEMPLATE: Final = (
    ("domain", re.compile(".*" + re.escape(_HEADLINE)), "the first line is not that of a Solana sign-in"),
    ("address", re.compile(".+"), "its line is empty"),
    ("statement", _EMPTY, "there is no empty line before it"),
    ("statement", re.compile(".*"), ""),
    ("statement", _EMPTY, "there is no empty line after it"),
    *(
        (field, re.compile(re.escape(label) + ".*"), f"its line does not begin with {label.strip()!r}")
        for field, label in zip(_FIELDS, _LABELS, strict=True)
    ),
    ("resources", re.compile("Resources:"), "they do not follow the expiration time"),
    ("resources", re.compile("- .*"), "they are not the Twitch account alone"),
)
"""Each line of the text: whose it is, what it looks like, and what is said where it does not."""
_PRINTABLE: Final = range(0x20, 0x7F)
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z", re.ASCII)
_NONCE = re.compile(r"[0-9a-zA-Z]{16,64}", re.ASCII)


class SiwsError(TwzrdError):
    """What was signed is not what a binding needs. field: in the words of the message's own labels."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


@dataclass(frozen=True, slots=True)
class SignIn:
    """Everything the text says. identity: the Twitch account, its one resource. Times are UTC to the millisecond."""

    domain: str
    address: str
    uri: str
    chain_id: str
    nonce: str
    issued_at: datetime
    expiration_time: datetime
    identity: str
    statement: str = STATEMENT
    version: str = VERSION


def build(said: SignIn) -> str:
    """The text. The inverse of parse."""
    values = (said.uri, said.version, said.chain_id, said.nonce, iso(said.issued_at), iso(said.expiration_time))
    fields = [label + value for label, value in zip(_LABELS, values, strict=True)]
    head = [said.domain + _HEADLINE, said.address, "", said.statement, ""]
    return "\n".join([*head, *fields, "Resources:", f"- {said.identity}"])


def parse(text: bytes) -> SignIn:
    """What the text says. Raises SiwsError for anything that `build` would not have written so."""
    if len(text) > MAX_MESSAGE_BYTES:
        raise SiwsError("message", f"it has {len(text)} bytes, over the bound of {MAX_MESSAGE_BYTES}")
    lines = _lines(text)
    values = [line.removeprefix(label) for label, line in zip(_LABELS, lines[5:11], strict=True)]
    uri, version, chain_id, nonce, issued_at, expiration_time = values
    if not is_nonce(nonce):
        raise SiwsError("nonce", "it is not of our form")
    said = SignIn(
        domain=lines[0].removesuffix(_HEADLINE),
        address=lines[1],
        uri=uri,
        chain_id=chain_id,
        nonce=nonce,
        issued_at=_time("issued_at", issued_at),
        expiration_time=_time("expiration_time", expiration_time),
        identity=lines[12][2:],
        statement=lines[3],
        version=version,
    )
    if build(said).encode() != text:
        raise SiwsError("message", "it is not written as we write it")
    return said


def _lines(text: bytes) -> list[str]:
    """Plain ASCII, line by line as in the template. Raises SiwsError naming the field of the first line that is not."""
    given = text.split(b"\n")
    lines = []
    for number, (field, form, otherwise) in enumerate(_TEMPLATE):
        if number == len(given):
            raise SiwsError(field, f"the text ends before it: it has {number} lines, not {len(_TEMPLATE)}")
        if any(byte not in _PRINTABLE for byte in given[number]):
            what = "it has a character outside plain ASCII, perhaps one that only looks like a letter"
            raise SiwsError(field, what)
        line = given[number].decode("ascii")
        if form.fullmatch(line) is None:
            raise SiwsError(field, otherwise)
        lines.append(line)
    if len(given) > len(_TEMPLATE):
        raise SiwsError("resources", f"the text goes on after the one: it has {len(given)} lines, not {len(_TEMPLATE)}")
    return lines


def check(said: SignIn, wanted: SignIn) -> None:
    """Compares every field. Raises SiwsError naming the first that differs."""
    for field in SignIn.__slots__:
        ours, theirs = getattr(wanted, field), getattr(said, field)
        if ours != theirs:
            named = "resources" if field == "identity" else field
            raise SiwsError(named, f"signed was {str(theirs)[:80]!r}, asked for was {str(ours)[:80]!r}")


def check_times(said: SignIn, now: datetime, skew_s: int = 30) -> None:
    """Raises SiwsError where it is not within its time."""
    if said.expiration_time <= now:
        raise SiwsError("expiration_time", "it is over; ask for a new challenge")
    if said.issued_at > now + timedelta(seconds=skew_s):
        raise SiwsError("issued_at", "it lies ahead")
    if said.expiration_time - said.issued_at > timedelta(seconds=LIFE_S):
        raise SiwsError("expiration_time", f"it is over {LIFE_S} s after issued_at")


def verified(message: bytes, signature: bytes, wallet: str, domain: str) -> SignIn:
    """What the wallet signed, in either form, for that site. Raises SiwsError; the signature is looked at last."""
    key = key_of(wallet)
    text = message
    if off_chain.is_off_chain(message):
        try:
            text = off_chain.unwrap(message, key, domain)
        except off_chain.OffChainError as error:
            raise SiwsError(error.field, str(error)) from None
    said = parse(text)
    if said.address != wallet:
        raise SiwsError("address", f"signed was {said.address[:80]!r}, the key is {wallet!r}")
    if said.domain != domain:
        raise SiwsError("domain", f"signed was {said.domain[:80]!r}, this site is {domain!r}")
    try:
        ed25519.verify(key, message, signature)
    except ValueError as error:
        raise SiwsError("signature", str(error)) from None
    return said


def verify_binding(message: bytes, signature: bytes, wallet: str, identity: str, domain: str, chain: str) -> None:
    """Returns where that wallet signed that it takes the rewards of that Twitch account (`twitch:id:<n>`), on that site
    and cluster. Says nothing of nonce and expiry: the server checked them when it bound. Raises SiwsError."""
    said = verified(message, signature, wallet, domain)
    uri = said.uri if said.uri in (f"https://{domain}", f"http://{domain}") else f"https://{domain}"
    wanted = replace(said, uri=uri, chain_id=chain, identity=identity, statement=STATEMENT, version=VERSION)
    check(said, wanted)


def is_nonce(text: str) -> bool:
    """Whether it has the form of ours."""
    return _NONCE.fullmatch(text) is not None


def key_of(wallet: str) -> bytes:
    """The 32 bytes of an address in its one base58 form. Raises SiwsError."""
    try:
        key = Pubkey.from_string(wallet)
        ed25519.check_point("the key", bytes(key))
    except ValueError as error:
        raise SiwsError("address", f"{wallet[:80]!r} is no wallet: {error}") from None
    if str(key) != wallet or not key.is_on_curve():
        raise SiwsError("address", f"{wallet[:80]!r} is no address that a key can sign for")
    return bytes(key)


def iso(at: datetime) -> str:
    """ISO 8601 as JavaScript's toISOString writes it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def _time(field: str, text: str) -> datetime:
    if _TIME.fullmatch(text) is None:
        raise SiwsError(field, "it is not of the form 2026-01-31T12:00:00.000Z")
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise SiwsError(field, f"{text} is no time") from None
    if iso(at) != text:
        raise SiwsError(field, f"{text} is not written as we write it")
    return at
