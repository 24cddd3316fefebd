"""What is said in simulated chat: a table of texts from a small vocabulary, with the awkward ones among them."""

from typing import Final, NamedTuple

from streams.collect.irc import escape
from streams.collect.simulation.dice import Dice

COUNT: Final = 512
_EMOTES: Final = {"Kappa": 25, "LUL": 425618, "PogChamp": 305954156, "NotLikeThis": 58765, "HeyGuys": 30259}
_VOCABULARY: Final = (
    "the a so this that no yes what how did he she they go gg wp lol lmao wow nice clip song game run boss again "
    "stream chat mods hello bye today won't can't it's hahaha ??? !!! ... 100% @someone <3 :) :( ;) naïve für über "
    "привет спасибо 日本語 すごい 안녕 😂 🔥 👍🏽 مرحبا"
)
_AWKWARD: Final = (
    ":starts with a colon",
    ": ",
    "semi;colons;and=equals",
    "back\\slash \\s \\: \\n",
    "@not=a;tag :nobody!nobody@nobody.tmi.twitch.tv PRIVMSG #other :nested",
    "two  spaces   and more",
    "%s %d %b {} {0}",
    "https://example.com/?a=1&b=2#c",
    "!commands",
    "\u0001odd control\u0001",
    "zalgo\u0301\u0302\u0303",
    "invisible\U000e0000",
    "\u202eright to left",
    "one",
    "x" * 500,
)
BOT_PHRASES: Final = ("Follow the channel and say hello!", "The list of commands is at https://example.com/commands")


class Phrase(NamedTuple):
    """A text as UTF-8 bytes, the value of its emotes tag, and the text as a tag value."""

    text: bytes
    emotes: bytes
    escaped: bytes


def phrases(seed: int) -> list[Phrase]:
    """The COUNT texts of a simulation; those of the bots stand last."""
    dice = Dice(seed, 1)
    texts, vocabulary = list(_AWKWARD), _VOCABULARY.split()
    while len(texts) < COUNT - len(BOT_PHRASES):
        if dice.one(8) == 0:  # one emote again and again, as chats do
            texts.append(" ".join([list(_EMOTES)[dice.one(len(_EMOTES))]] * (1 + dice.one(20))))
            continue
        words = [vocabulary[index] for index in dice.below(1 + dice.one(14), len(vocabulary)).tolist()]
        if dice.one(4) == 0:
            words.insert(dice.one(len(words) + 1), list(_EMOTES)[dice.one(len(_EMOTES))])
        texts.append(" ".join(words))
    texts += BOT_PHRASES
    return [Phrase(text.encode(), _emotes_tag(text), escape(text.encode())) for text in texts]


def _emotes_tag(text: str) -> bytes:
    """`id:first-last,…/id:…`, positions in code points (dev.twitch.tv/docs/irc/tags, emotes)."""
    places: dict[str, list[str]] = {}
    start = 0
    for word in text.split(" "):
        if word in _EMOTES:
            places.setdefault(word, []).append(f"{start}-{start + len(word) - 1}")
        start += len(word) + 1
    return "/".join(f"{_EMOTES[name]}:{','.join(spans)}" for name, spans in places.items()).encode()
