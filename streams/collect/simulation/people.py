"""Who speaks in simulated chat: everything about a viewer is a function of their number (and the channel's)."""

from functools import lru_cache
from typing import Final, NamedTuple
from zlib import crc32

POPULATION: Final = 20_000
"""Viewers are numbered 0..POPULATION - 1; the bots follow, then the anonymous gifter."""
BOTS: Final = (("nightbot", "Nightbot", 19_264_788), ("streamelements", "StreamElements", 100_135_110))
ANONYMOUS: Final = POPULATION + len(BOTS)
"""Who gives subs without a name: Twitch's own user for that."""
EVERYBODY: Final = ANONYMOUS + 1
_FIRST_USER_ID: Final = 10_000_000
_FIRST_ROOM_ID: Final = 900_001
_CHANNELS: Final = ("ember", "pixel", "nova", "quill", "raven", "sable", "tidal", "umbra", "vivid", "willow")
_FIRST: Final = ("amber", "brisk", "calm", "dusty", "eager", "fuzzy", "grim", "happy", "icy", "jolly", "keen", "lazy")
_SECOND: Final = ("fox", "owl", "cat", "elk", "yak", "bee", "ant", "emu", "koi", "ram", "jay", "eel", "hen")
_DISPLAYED: Final = ("ファン", "観客", "관객", "观众", "зритель", "Größe")
_COLORS: Final = ("", "#FF0000", "#0000FF", "#8A2BE2", "#9ACD32", "#1E90FF", "#FF69B4", "#00FF7F", "#DAA520")


class Person(NamedTuple):
    """A viewer: login (ASCII), display name as shown, user id, colour (empty where never chosen)."""

    login: str
    display: str
    user_id: int
    color: str


class Standing(NamedTuple):
    """A viewer in a channel: months as subscriber (0: none), and whether moderator or VIP."""

    months: int
    moderator: bool
    vip: bool


@lru_cache(maxsize=EVERYBODY)
def person(number: int) -> Person:
    """The person of a number in 0..EVERYBODY - 1."""
    if number == ANONYMOUS:
        return Person("ananonymousgifter", "AnAnonymousGifter", 274_598_607, "")
    if number >= POPULATION:
        bot, shown, user_id = BOTS[number - POPULATION]
        return Person(bot, shown, user_id, "#7C7CE1")
    mix = crc32(b"%d" % number)
    first, second = _FIRST[mix % 12], _SECOND[mix // 12 % 13]
    forms = (f"viewer_{number:05d}", f"{first}_{second}_{number}", f"{first}{second}{number}", f"x{number}{second}_")
    login = forms[mix // 156 % 4]
    style = mix // 624 % 10
    display = login if style < 6 else login.title()
    if style == 0:  # Twitch's localised names are another word than the login
        display = f"{_DISPLAYED[mix // 6240 % 6]}{number}"
    return Person(login, display, _FIRST_USER_ID + number, _COLORS[mix // 37_440 % 9])


def standing(channel: int, number: int) -> Standing:
    """What a viewer is in a channel."""
    if number >= POPULATION:
        return Standing(0, moderator=number < ANONYMOUS, vip=False)
    mix = crc32(b"%d in %d" % (number, channel))
    months = mix % 48 + 1 if mix // 48 % 3 == 0 else 0
    return Standing(months, moderator=mix // 144 % 60 == 0, vip=mix // 144 % 60 == 1)


def channel_login(index: int) -> str:
    """Login of a channel by its number."""
    name = _CHANNELS[index % len(_CHANNELS)]
    return name if index < len(_CHANNELS) else f"{name}{index // len(_CHANNELS) + 1}"


def room_id(index: int) -> int:
    """Twitch id of a channel by its number."""
    return _FIRST_ROOM_ID + index
