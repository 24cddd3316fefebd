"""The worked examples of docs/spec.md are what the code does: golden bytes of every layout and version."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from blake3 import blake3

from schemas import bundle as bundles
from schemas import control, dead, sealed
from schemas import envelope as envelopes
from schemas import seal as layout
from schemas import text as texts
from schemas.policy import DEFAULT_POLICY, PolicySchedule, decode_policy
from streams.collect.twitch import derived_id
from streams.core.fold import EpochFold
from streams.core.sealing import Sealer
from streams.core.verify import verify_bundle

SPEC = Path(__file__).parents[3] / "docs" / "spec.md"
EXAMPLES: dict[str, Any] = {
    name: json.loads(text) for name, text in re.findall(r"```json example=(\w+)\n(.*?)```", SPEC.read_text(), re.S)
}
PEPPER = b"\x11" * 32
CONTROL = [
    f"control_{kind}"
    for kind in ("wanted", "unwanted", "ruled", "renamed", "optout", "optin", "state", "heartbeat", "snapshot")
]


def test_every_example_is_read() -> None:
    assert set(EXAMPLES) == {
        "other_id",
        "derived_id",
        "policy",
        "policy_file",
        "envelope",
        "tick",
        "end",
        "reseal",
        "identity",
        "seal",
        "seal_record",
        "part",
        "late",
        "closed",
        "known",
        "presence",
        "absence",
        *CONTROL,
        "dead_letter",
        "chat_text",
    }


def test_policy() -> None:
    example = EXAMPLES["policy"]
    policy = decode_policy(example["canonical"])
    assert policy == DEFAULT_POLICY
    assert policy.canonical.decode() == example["canonical"]
    assert blake3(example["canonical"].encode()).hexdigest() == policy.hash.hex() == example["hash"]


def test_policy_file() -> None:
    example = EXAMPLES["policy_file"]
    schedule = PolicySchedule.decode(example["file"])
    assert [[epoch_s, schedule.at(epoch_s).version] for epoch_s, _ in example["in_force"]] == example["in_force"]


def test_dead_letter() -> None:
    example = EXAMPLES["dead_letter"]
    found = dead.decode(example["json"].encode())
    refused = bytes.fromhex(example["payload"])
    assert (found.hash, found.length, found.payload) == (blake3(refused).hexdigest(), len(refused), None)
    assert dead.encode(dead.dead_letter("record", found.where, found.reason, refused)).decode() == example["json"]


def test_keys_and_refs() -> None:
    example = EXAMPLES["identity"]
    key = layout.viewer_key(example["identity"], PEPPER)
    tag = layout.epoch_tag(example["channel"], example["epoch_start_s"])
    epoch_key = layout.epoch_key(key, tag)
    assert key.hex() == example["viewer_key"]
    assert tag.hex() == example["epoch_tag"]
    assert epoch_key.hex() == example["epoch_key"]
    assert layout.viewer_ref(example["identity"], epoch_key).hex() == example["viewer_ref"]
    assert layout.pepper_commit(PEPPER).hex() == example["pepper_commit"]


def test_event_ids() -> None:
    example = EXAMPLES["derived_id"]
    assert derived_id(example["raw"].encode(), example["count"]).hex() == example["id"]
    assert blake3(EXAMPLES["other_id"]["tag"].encode()).hexdigest(16) == EXAMPLES["other_id"]["id"]


def test_envelope() -> None:
    example = EXAMPLES["envelope"]
    data = bytes.fromhex(example["bytes"])
    decoded = envelopes.decode(data)
    columns = decoded.columns()
    for name in ("type", "channel", "login", "source", "seq"):
        assert getattr(decoded, name) == example[name]
    assert list(decoded.observed or ()) == example["observed"]
    assert [list(pair) for pair in decoded.viewers] == example["viewers"]
    assert [row.tobytes().hex() for row in columns.ids] == example["id"]
    for name in ("at", "kind", "who", "amount"):
        assert getattr(columns, name).tolist() == example[name]
    again = envelopes.encode(
        decoded.type, decoded.channel, decoded.login, decoded.source, decoded.seq, decoded.observed, columns
    )
    assert again == data


@pytest.mark.parametrize("name", ["tick", "end", "reseal"])
def test_records_without_events(name: str) -> None:
    data = bytes.fromhex(EXAMPLES[name]["bytes"])
    decoded = envelopes.decode(data)
    assert decoded.type == name
    assert len(decoded.columns()) == 0
    again = envelopes.encode(
        decoded.type, decoded.channel, decoded.login, decoded.source, decoded.seq, decoded.observed
    )
    assert again == data


def test_reseal_names_its_epoch() -> None:
    example = EXAMPLES["reseal"]
    decoded = envelopes.decode(bytes.fromhex(example["bytes"]))
    start_ms = example["epoch_start_s"] * 1000
    assert decoded.observed == (start_ms, start_ms + example["epoch_length_s"] * 1000, "absent")
    assert (
        example["bytes"]
        == envelopes.encode_reseal(
            decoded.channel,
            decoded.login,
            decoded.source,
            decoded.seq,
            example["epoch_start_s"],
            example["epoch_length_s"],
        ).hex()
    )


def sealed_example() -> sealed.SealedEpoch:
    envelope = envelopes.decode(bytes.fromhex(EXAMPLES["envelope"]["bytes"]))
    fold = EpochFold()
    fold.add(envelope.columns(), fold.intern(envelope.viewers))
    coverage = [(start, end, kind) for start, end, kind in EXAMPLES["seal"]["coverage"]]
    made = Sealer(PolicySchedule.of(DEFAULT_POLICY), PEPPER).seal(
        envelope.channel, envelope.login, EXAMPLES["identity"]["epoch_start_s"], 0, fold, coverage
    )
    assert made is not None
    return made


def test_seal() -> None:
    example, made = EXAMPLES["seal"], sealed_example()
    header = made.header
    assert header.encode().hex() == example["header"]
    assert layout.decode_header(bytes.fromhex(example["header"])) == header
    assert header.hash().hex() == example["seal_hash"]
    assert [row.tobytes().hex() for row in made.preimages()] == example["leaves"]
    for name in ("root", "input_digest", "coverage_hash"):
        assert getattr(header, name).hex() == example[name]
    assert (header.leaf_count, str(header.total_weight_centi), header.total_messages) == (
        example["leaf_count"],
        example["total_weight_centi"],
        example["total_messages"],
    )


def test_seal_record_brings_the_seal_back() -> None:
    made = sealed_example()
    (record,) = sealed.split_seal(made)
    assert sealed.encode_record(record).hex() == EXAMPLES["seal_record"]["bytes"]
    decoded = sealed.decode_record(bytes.fromhex(EXAMPLES["seal_record"]["bytes"]))
    assert isinstance(decoded, sealed.Seal)
    back = sealed.join_seal(decoded, [])
    assert back.header == made.header
    assert back.preimages().tobytes() == made.preimages().tobytes()
    assert back.body.identities == list(made.body.identities)


@pytest.mark.parametrize("name", ["part", "late", "closed"])
def test_other_records_of_epoch_sealed(name: str) -> None:
    example = dict(EXAMPLES[name])
    data = bytes.fromhex(example.pop("bytes"))
    record = sealed.decode_record(data)
    shown = {key: value for key, value in msgspec.structs.asdict(record).items() if key != "v"}
    assert {key: value.hex() if isinstance(value, bytes) else value for key, value in shown.items()} == example
    assert sealed.encode_record(record) == data


def test_known() -> None:
    example = EXAMPLES["known"]
    record = sealed.decode_record(bytes.fromhex(example["bytes"]))
    assert isinstance(record, sealed.Known)
    assert (record.through, record.start) == (example["through"], example["start"])
    assert {
        channel: [list(msgspec.structs.astuple(closing)) for closing in closings]
        for channel, closings in record.closings.items()
    } == example["closings"]
    assert sealed.encode_record(record).hex() == example["bytes"]


@pytest.mark.parametrize("name", ["presence", "absence"])
def test_bundles_verify(name: str) -> None:
    shown = verify_bundle(bundles.decode(json.dumps(EXAMPLES[name])))
    assert shown.kind == name
    assert shown.header.encode().hex() == EXAMPLES["seal"]["header"]
    assert shown.identity == EXAMPLES[name]["viewer"]["identity"]


@pytest.mark.parametrize("name", CONTROL)
def test_control_records(name: str) -> None:
    example = dict(EXAMPLES[name])
    data, key = bytes.fromhex(example.pop("bytes")), example.pop("key")
    decoded = control.decode(data)
    assert type(decoded).__struct_config__.tag == name.removeprefix("control_")
    assert msgspec.to_builtins(msgspec.structs.asdict(decoded)) == example
    assert (control.encode(decoded), control.key(decoded).decode()) == (data, key)


def test_chat_text() -> None:
    example = EXAMPLES["chat_text"]
    decoded = texts.decode(bytes.fromhex(example["bytes"]))
    line = texts.Line(
        bytes.fromhex(example["id"]), example["at_ms"], example["viewer"], example["viewer_login"], example["text"]
    )
    assert decoded == texts.TextRecord(1, example["channel"], example["login"], [line])
    assert texts.encode(decoded.channel, decoded.login, decoded.lines).hex() == example["bytes"]
