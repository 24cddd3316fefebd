"""`twzrd log cat`: any record of the log as JSON, for people and scripts."""

from typing import Any

import msgspec
import orjson

from schemas import control, sealed
from schemas import envelope as envelopes
from schemas import text as texts
from schemas.errors import SchemaError
from schemas.seal import decode_header
from schemas.streams import CHAT_EVENTS, CHAT_TEXT, CONTROL, EPOCH_SEALED
from streams.log.port import LogRecord


def record_json(stream: str, partition: int, record: LogRecord) -> dict[str, Any]:
    """One record; what does not decode is shown with its error and length."""
    place = {
        "stream": stream,
        "partition": partition,
        "offset": record.offset,
        "log_time_ms": record.time_ms,
        "key": record.key.decode(errors="replace"),
    }
    try:
        if stream == CHAT_EVENTS:
            return {**place, **envelope_json(record.value)}
        if stream == EPOCH_SEALED:
            return {**place, **sealed_json(record.value)}
        if stream == CHAT_TEXT:
            said = texts.decode(record.value)
            lines = [{**msgspec.structs.asdict(line), "id": line.id.hex()} for line in said.lines]
            return {**place, "v": said.v, "channel": said.channel, "login": said.login, "lines": lines}
        if stream == CONTROL:
            return {**place, **control_json(record.value)}
        return {**place, "value": orjson.loads(record.value)}
    except (SchemaError, orjson.JSONDecodeError) as error:
        return {**place, "error": str(error), "length": len(record.value)}


def envelope_json(value: bytes) -> dict[str, Any]:
    """An envelope with its events as rows. Raises SchemaError."""
    one = envelopes.decode(value)
    columns = one.columns()
    rows = zip(columns.at.tolist(), columns.kind.tolist(), columns.who.tolist(), columns.amount.tolist(), strict=True)
    events = [
        {
            "at_ms": at,
            "id": columns.ids[index].tobytes().hex(),
            "kind": kind,
            "viewer": one.viewers[who][0],
            "login": one.viewers[who][1],
            "amount": amount,
        }
        for index, (at, kind, who, amount) in enumerate(rows)
    ]
    return {
        "v": one.v,
        "type": one.type,
        "channel": one.channel,
        "login": one.login,
        "source": one.source,
        "seq": one.seq,
        "observed": one.observed,
        "events": events,
    }


def sealed_json(value: bytes) -> dict[str, Any]:
    """A record of epoch.sealed; bodies by length, headers taken apart. Raises SchemaError."""
    record = sealed.decode_record(value)
    fields = {name: getattr(record, name) for name in record.__struct_fields__}
    shown: dict[str, Any] = {"type": type(record).__name__.lower()}
    for name, item in fields.items():
        if name == "header":
            header = decode_header(item)
            shown["root"], shown["leaf_count"] = header.root.hex(), header.leaf_count
            shown["seal_hash"] = header.hash().hex()
        elif name == "policy":
            shown["policy_hash"] = decode_header(fields["header"]).policy_hash.hex()
        elif name == "stats":
            shown["stats"] = msgspec.structs.asdict(item)
        elif name == "body_hash":
            shown[name] = item.hex()
        elif isinstance(item, bytes):
            shown[f"{name}_bytes"] = len(item)
        else:
            shown[name] = item
    return shown


def control_json(value: bytes) -> dict[str, Any]:
    """A record of control. Raises SchemaError."""
    record = control.decode(value)
    said: dict[str, Any] = msgspec.to_builtins(msgspec.structs.asdict(record))
    return {"type": type(record).__struct_config__.tag, **said}
