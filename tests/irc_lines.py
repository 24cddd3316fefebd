"""Tagged IRC lines for tests of every reading of them: ordinary, unusual in one thing, and damaged."""

from hypothesis import strategies as st

UUID = "0123abcd-4567-89EF-0123-456789abcdef"

digits = st.one_of(
    st.integers(0, 30).map(str), st.integers(0, 10**22).map(str), st.sampled_from(["", "007", "x1", "-1"])
)
times = st.one_of(
    st.integers(1_767_225_600_000, 1_767_225_600_020).map(str),
    st.sampled_from(
        ["", "0", "1293839999999", "1293840000000", "4102444799999", "4102444800000", "01767225600000", "1e12"]
    ),
)
ids = st.one_of(
    st.uuids().map(str),
    st.sampled_from(
        [UUID, UUID.upper(), UUID[:-1], UUID + "0", UUID.replace("-", "_"), "", "odd", r"a\sb", "g" + UUID[1:]]
    ),
)
values = {
    "id": ids,
    "room-id": digits,
    "user-id": digits,
    "tmi-sent-ts": times,
    "bits": st.sampled_from(["1", "100", "4294967295", "4294967296", "", "1x"]),
    "source-room-id": digits,
    "msg-id": st.sampled_from(["sub", "resub", "subgift", "anonsubgift", "raid", "announcement", ""]),
    "login": st.sampled_from(["Ann", "bob", "", "é"]),
    "msg-param-viewerCount": digits,
    "target-user-id": digits,
    "color": st.sampled_from(["#1E90FF", "", "a=b", "id=5"]),
    "badges": st.just("x/1,y/2"),
    "idx": st.just("1"),
    "user-idle": st.just("1"),
}
ordinary = {
    "id": st.uuids().map(str),
    "room-id": st.sampled_from(["1", "22"]),
    "user-id": st.integers(1, 5).map(str),
    "tmi-sent-ts": st.just("1767225600000"),
}
nicks = st.sampled_from(
    ["ann", "Ann", "bob_1", "a" * 25, "a" * 26, "a" * 40, "é", "x y", "", "a-b", "a!b", "a@b", "tab\tbed"]
)
channels = st.sampled_from(["#chan", "#Chan", "#", "chan", "#" + "c" * 30, "#é", "#c!d"])
verbs = st.sampled_from(
    ["PRIVMSG"] * 8 + ["USERNOTICE", "CLEARCHAT", "CLEARMSG", "JOIN", "001", "privmsg", "PRIVMSGX", ""]
)
texts = st.sampled_from(["", " ", " :", " : ", "  :two", " one", " :x;id=5 =;", " :\0\r", " :é xx", " :  "])


@st.composite
def tag_sections(draw: st.DrawFn) -> str:
    """Tags in any order, some of them unusual, doubled or without a value."""
    pairs = {name: draw(value) for name, value in ordinary.items()}
    listed = list(pairs.items())
    for name in draw(st.lists(st.sampled_from(sorted(values)), max_size=5)):
        listed.append((name, draw(values[name])))
    for name in draw(st.lists(st.sampled_from(sorted(ordinary)), max_size=1)):
        listed = [pair for pair in listed if pair[0] != name]
    listed = draw(st.permutations(listed))
    return ";".join(name if draw(st.integers(0, 29)) == 0 else f"{name}={value}" for name, value in listed)


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """One line without its end; two of three are ordinary."""
    if draw(st.integers(0, 2)):  # two of three: nothing unusual
        tags = ";".join(f"{name}={draw(value)}" for name, value in draw(st.permutations(list(ordinary.items()))))
        nick, channel, verb, text = "ann", "#chan", "PRIVMSG", draw(texts)
    else:
        tags, nick, channel = draw(tag_sections()), draw(nicks), draw(channels)
        verb, text = draw(verbs), draw(texts)
    line = f"@{tags} :{nick}!{nick}@{nick}.tmi.twitch.tv {verb} {channel}{text}".encode()
    if draw(st.integers(0, 5)) == 0 and line:
        at = draw(st.integers(0, len(line) - 1))
        line = line[:at] + draw(st.binary(max_size=3)) + line[at + draw(st.integers(0, 9)) :]
    return line


ORDINARY = {"id": UUID, "room-id": "22", "user-id": "5", "tmi-sent-ts": "1767225600000"}
NUMBERS = ["", "0", "7", "007", "x", "5x", "-1", "٣", "9" * 8, "9" * 9, "9" * 16, "9" * 17, "9" * 20, "9" * 21]
TWISTS: dict[str, list[str]] = {
    "room-id": NUMBERS,
    "user-id": NUMBERS,
    "source-room-id": [*NUMBERS, "22", "022"],
    "bits": [*NUMBERS, "4294967295", "4294967296"],
    "tmi-sent-ts": [
        *NUMBERS,
        "1293839999999",
        "1293840000000",
        "4102444799999",
        "4102444800000",
        "01767225600000",
        "176722560000x",
    ],
    "id": [
        "",
        "x",
        UUID.upper(),
        UUID[:-1],
        UUID + "0",
        UUID[:-1] + "g",
        UUID[:-1] + "/",
        UUID[:-1] + ":",
        UUID[:-1] + "@",
        UUID[:-1] + "`",
        *(UUID[:place] + other + UUID[place + 1 :] for place in (8, 13, 18, 23) for other in "_.0"),
        r"a\sb",
    ],
    "badges": ["id=5", "a=b", "", "\\"],
}
NICKS = [
    "",
    "a",
    "A" * 25,
    "b" * 26,
    "c" * 31,
    "d" * 32,
    "e" * 64,
    "f" * 65,
    *(f"a{c}b" for c in "@[`{/:!-_09azAZé\t\0"),
]
TEXTS = ["", " ", "  ", "   ", " :", "  :", " x", "  x", " :x", " : ", " :a b;id=5;bits=7 c", " \r", "\t:x"]


def twisted() -> list[str]:
    """Ordinary lines with exactly one thing unusual, so that nothing else sends them to the plain reading."""

    def line(tags: list[tuple[str, str]], nick: str = "ann", rest: str = "PRIVMSG #chan :hi") -> str:
        return f"@{';'.join(f'{name}={value}' for name, value in tags)} :{nick}!{nick}@h {rest}"

    plain = list(ORDINARY.items())
    lines = [line(plain)]
    for name, twists in TWISTS.items():
        for value in twists:
            lines.append(line(list((ORDINARY | {name: value}).items())))
            lines.append(line([*plain, (name, value)]))  # doubled, for the four: the last counts
            lines.append(line([(name, value), *plain]))
        lines.append(line([pair for pair in plain if pair[0] != name]))
        lines.append(line(plain).replace(f"{name}=", f"{name};x="))
        lines.append(line(plain).replace(" :ann", f";{name} :ann"))
        lines.append(line(plain).replace("@", f"@{name};", 1))
        lines.append(line([*plain, (name + "x", "1"), (name[:-1], "2"), ("x" + name, "3"), (name.upper(), "4")]))
    lines += [line(plain, nick=nick) for nick in NICKS]
    lines += [line(plain, rest=f"PRIVMSG #{nick} :hi") for nick in NICKS]
    lines += [line(plain, rest=f"PRIVMSG #chan{text}") for text in TEXTS]
    lines += [
        line(plain, rest=f"{verb} #chan :hi")
        for verb in ("privmsg", "PRIVMSGX", "PRIVMS", "JOIN", "PRIVMSG ", " PRIVMSG")
    ]
    lines += [line(plain, rest="PRIVMSG chan :hi"), line(plain, rest="PRIVMSG :#chan hi"), line(plain)[1:]]
    for odd in ("", " ", "x"):
        lines += [
            odd + line(plain),
            line(plain).replace(" :ann", f" {odd} :ann"),
            line(plain).replace("!ann", odd + "ann"),
        ]
    lines += [
        line(plain).replace(":ann!ann@h ", source)
        for source in ("", ":ann ", ":ann@h ", ":a!b!c ", ":!x@h ", "ann!ann@h ")
    ]
    lines += [line([("id", UUID)]), line(plain[2:]), line([("bits", "1")])]
    return lines
