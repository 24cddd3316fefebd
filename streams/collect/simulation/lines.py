"""Simulated chat as Twitch writes it: tagged IRC lines, byte for byte its dialect. After `chat`.

Tags of the captures, in another order for every viewer and channel. Ordinary messages are one formatting of a template
kept for their writer; what is rarer is put together tag by tag.
"""

from collections.abc import Callable
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from streams.collect.simulation import chat
from streams.collect.simulation.chat import ChatStep, Simulation
from streams.collect.simulation.people import EVERYBODY, Person, channel_login, person, room_id, standing
from streams.collect.simulation.phrases import phrases

MAX_TEMPLATES: Final = 50_000
"""Kept at once, about 700 bytes each; then all are dropped and made again as needed."""
_DASHES: Final = (8, 13, 18, 23)
_HEX_PLACES: Final = [place for place in range(36) if place not in _DASHES]
_VIEWER_TAGS: Final = (
    "badge-info", "badges", "color", "display-name", "emotes", "first-msg", "flags", "id", "mod", "returning-chatter",
    "room-id", "subscriber", "tmi-sent-ts", "turbo", "user-id", "user-type",
)  # fmt: skip
Tags = dict[str, bytes]


class LineWriter:
    """Writes the lines of one simulation. Pure: the same step gives the same bytes."""

    def __init__(self, simulation: Simulation) -> None:
        self._phrases = phrases(simulation.seed)
        self._templates: dict[int, tuple[bytes, Callable[[Any], tuple[Any, ...]]]] = {}

    def lines(self, step: ChatStep) -> list[bytes]:
        """One line each row, with its end, in order."""
        out: list[bytes] = []
        templates, texts = self._templates, self._phrases
        if len(templates) > MAX_TEMPLATES:
            templates.clear()
        ids = uuid_texts(step.ids)
        columns = zip(
            (step.channel * EVERYBODY + step.who).tolist(),
            step.kind.tolist(),
            step.at.tolist(),
            step.text.tolist(),
            ids,
            strict=True,
        )
        originals = iter(uuid_texts(original_ids(step.ids[step.kind == chat.COPY])))
        for row, (key, kind, at, text, line_id) in enumerate(columns):
            words, emotes, _ = texts[text]
            if kind == chat.MESSAGE:
                found = templates.get(key)
                if found is None:
                    found = templates[key] = _template(*divmod(key, EVERYBODY), copy=False)
                template, order = found
                out.append(template % order((line_id, at, emotes, words)))
            elif kind == chat.COPY:
                found = templates.get(~key)
                if found is None:
                    found = templates[~key] = _template(*divmod(key, EVERYBODY), copy=True)
                template, order = found
                out.append(template % order((line_id, at, emotes, words, next(originals))))
            else:
                out.append(self._special(step, row, line_id))
        return out

    def line(self, step: ChatStep, row: int) -> bytes:
        """The line of one row."""
        return self.lines(step.take(slice(row, row + 1)))[0]

    def _special(self, step: ChatStep, row: int, line_id: bytes) -> bytes:
        """A line put together tag by tag."""
        channel, kind, who = int(step.channel[row]), int(step.kind[row]), int(step.who[row])
        amount, other, at = int(step.amount[row]), int(step.other[row]), int(step.at[row])
        phrase = self._phrases[int(step.text[row])]
        writer, room = person(who), b"%d" % room_id(channel)
        sent = b"%d" % at
        to = b" #" + channel_login(channel).encode()
        if kind in chat.WITHOUT_ID:
            # As Twitch does: CLEARCHAT names its room, CLEARMSG leaves it empty.
            tags: Tags = {"room-id": room, "tmi-sent-ts": sent}
            if kind == chat.ROOM_CLEAR:
                return _line(tags, at, b":tmi.twitch.tv CLEARCHAT" + to)
            if kind == chat.DELETION:
                tags |= {"room-id": b"", "login": writer.login.encode(), "target-msg-id": line_id}
                return _line(tags, at, b":tmi.twitch.tv CLEARMSG" + to + b" :" + phrase.text)
            tags["target-user-id"] = b"%d" % writer.user_id
            if amount:
                tags["ban-duration"] = b"%d" % amount
            return _line(tags, at, b":tmi.twitch.tv CLEARCHAT" + to + b" :" + writer.login.encode())
        tags = _viewer_tags(channel, who) | {
            "id": line_id,
            "tmi-sent-ts": sent,
            "room-id": room,
            "emotes": phrase.emotes,
        }
        text = phrase.text
        if kind in (chat.SUB, chat.RESUB, chat.GIFT, chat.GIFT_BOMB, chat.RAID, chat.ANNOUNCEMENT, chat.MILESTONE):
            del tags["first-msg"], tags["returning-chatter"]
            tags |= {"login": writer.login.encode(), **_notice_tags(kind, writer, person(other), amount, line_id)}
            said = kind == chat.ANNOUNCEMENT or (kind == chat.RESUB and line_id[0] & 1)
            if not said:
                tags["emotes"] = b""
            return _line(tags, at, b":tmi.twitch.tv USERNOTICE" + to + (b" :" + text if said else b""))
        if kind == chat.ACTION:
            text = b"\x01ACTION " + text + b"\x01"
        elif kind == chat.CHEER:
            tags["bits"] = b"%d" % amount
            tags["emotes"] = b""  # the cheer word shifts every place
            text = b"Cheer%d " % amount + text
        elif kind == chat.REPLY:
            parent = person(other)
            tags |= {
                "reply-parent-display-name": parent.display.encode(),
                "reply-parent-msg-body": phrase.escaped,
                "reply-parent-msg-id": line_id[:24] + line_id[24:][::-1],
                "reply-parent-user-id": b"%d" % parent.user_id,
                "reply-parent-user-login": parent.login.encode(),
                "emotes": b"",
            }
            text = b"@" + parent.display.encode() + b" " + text
        return _line(tags, at, _source(writer) + b" PRIVMSG" + to + b" :" + text)


def uuid_texts(ids: NDArray[np.uint8]) -> list[bytes]:
    """(n, 16) u8 -> n UUIDs as text, 8-4-4-4-12."""
    shaped = np.full((len(ids), 36), 0x2D, np.uint8)
    shaped[:, _HEX_PLACES] = np.frombuffer(ids.tobytes().hex().encode(), np.uint8).reshape(-1, 32)
    texts: list[bytes] = shaped.view("S36")[:, 0].tolist()
    return texts


@lru_cache(maxsize=MAX_TEMPLATES)
def _viewer_tags(channel: int, who: int) -> Tags:
    """The tags that say who speaks; the others are there and empty."""
    writer, there = person(who), standing(channel, who)
    badges = []
    if there.moderator:
        badges.append("moderator/1")
    elif there.vip:
        badges.append("vip/1")
    if there.months:
        badges.append(f"subscriber/{there.months // 3 * 3}")
    tags = dict.fromkeys(_VIEWER_TAGS, b"")
    tags |= {
        "badge-info": b"subscriber/%d" % there.months if there.months else b"",
        "badges": ",".join(badges).encode(),
        "color": writer.color.encode(),
        "display-name": writer.display.encode(),
        "first-msg": b"0",
        "mod": b"%d" % there.moderator,
        "returning-chatter": b"0",
        "subscriber": b"%d" % (there.months > 0),
        "turbo": b"0",
        "user-id": b"%d" % writer.user_id,
        "user-type": b"mod" if there.moderator else b"",
    }
    return tags


def original_ids(ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Of shared-chat copies' ids those of the lines they copy, and the other way round: (n, 16) u8."""
    changed = ids.copy()
    changed[:, 0] ^= 0x55
    return changed


def _template(channel: int, who: int, *, copy: bool) -> tuple[bytes, Callable[[Any], tuple[Any, ...]]]:
    """A PRIVMSG of that viewer there, and in which order its slots take (id, time, emotes, text, original's id)."""
    tags = _viewer_tags(channel, who) | {"room-id": b"%d" % room_id(channel)}
    slots = {"id": (b"%b", 0), "tmi-sent-ts": (b"%d", 1), "emotes": (b"%b", 2)}
    if copy:
        slots["source-id"] = (b"%b", 4)
        tags |= {"source-id": b"", "source-badge-info": b"", "source-badges": tags["badges"]}
        tags["source-room-id"] = b"%d" % room_id(channel - 1)
    names = sorted(tags, key=lambda name: crc32(b"%b %d %d" % (name.encode(), channel, who)))
    pairs = (name.encode() + b"=" + (slots[name][0] if name in slots else tags[name]) for name in names)
    to = channel_login(channel).encode()
    line = b"@" + b";".join(pairs) + b" " + _source(person(who)) + b" PRIVMSG #" + to + b" :%b\r\n"
    return line, itemgetter(*(slots[name][1] for name in names if name in slots), 3)


def _source(writer: Person) -> bytes:
    login = writer.login.encode()
    return b":" + login + b"!" + login + b"@" + login + b".tmi.twitch.tv"


def _line(tags: Tags, at: int, rest: bytes) -> bytes:
    """Tags in an order that follows from the line's time."""
    pairs = [name.encode() + b"=" + value for name, value in tags.items()]
    turn = at % len(pairs)
    return b"@" + b";".join(pairs[turn:] + pairs[:turn]) + b" " + rest + b"\r\n"


def _notice_tags(kind: int, writer: Person, other: Person, amount: int, line_id: bytes) -> Tags:
    """What a USERNOTICE says of its event (dev.twitch.tv/docs/irc/tags, USERNOTICE)."""
    name = writer.display.encode()
    plan: Tags = {"msg-param-sub-plan": b"1000", "msg-param-sub-plan-name": b"Channel\\sSubscription"}
    months = b"%d" % max(amount, 1)
    if kind in (chat.SUB, chat.RESUB):
        said = name + b"\\ssubscribed\\sat\\sTier\\s1." + (b"" if kind == chat.SUB else b"\\sMonth\\s" + months + b"!")
        return plan | {
            "msg-id": b"sub" if kind == chat.SUB else b"resub",
            "msg-param-cumulative-months": months,
            "msg-param-should-share-streak": b"0",
            "system-msg": said,
        }
    if kind == chat.GIFT:
        return plan | {
            "msg-id": b"subgift",
            "msg-param-gift-months": b"1",
            "msg-param-months": b"1",
            "msg-param-recipient-display-name": other.display.encode(),
            "msg-param-recipient-id": b"%d" % other.user_id,
            "msg-param-recipient-user-name": other.login.encode(),
            "system-msg": name + b"\\sgifted\\sa\\sTier\\s1\\ssub\\sto\\s" + other.display.encode() + b"!",
        }
    if kind == chat.GIFT_BOMB:
        return {
            "msg-id": b"submysterygift",
            "msg-param-mass-gift-count": b"%d" % amount,
            "msg-param-origin-id": line_id[:8],
            "msg-param-sub-plan": b"1000",
            "system-msg": name + b"\\sis\\sgifting\\s%d\\sTier\\s1\\sSubs!" % amount,
        }
    if kind == chat.RAID:
        return {
            "msg-id": b"raid",
            "msg-param-displayName": name,
            "msg-param-login": writer.login.encode(),
            "msg-param-viewerCount": b"%d" % amount,
            "system-msg": b"%d\\sraiders\\sfrom\\s" % amount + name + b"\\shave\\sjoined!",
        }
    if kind == chat.ANNOUNCEMENT:
        return {"msg-id": b"announcement", "msg-param-color": b"PRIMARY", "system-msg": b""}
    return {
        "msg-id": b"viewermilestone",
        "msg-param-category": b"watch-streak",
        "msg-param-value": b"3",
        "system-msg": name + b"\\swatched\\s3\\sconsecutive\\sstreams",
    }
