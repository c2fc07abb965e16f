"""Cerberus and the rules that services start with, held equal."""

import itertools
import math
import secrets
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ci.ground import schema
from ci.ground.schema import TYPES, Key
from runtime import rules
from tests.lockstep.ground import modules

META = {"services": ["web"], "description": "a key", "example": "x"}
# Anchored nowhere, at one end, at both, in one alternative; ends that only look like an anchor; flags and lines.
PATTERNS = (
    "[a-c]+",
    "^[a-c]+$",
    "a|b",
    "a|b$",
    "(a|b)",
    r"a\$",
    r"[a$]",
    "(a$|b)",
    "(?i)ab",
    "(?m)a$",
    "(?s)a.b",
    "(?x) a b # spaces",
    r"\w+",
    r"[^@\s]+@[^@\s]+",
    "",
)
SCHEMES = ("http", "https", "postgresql", "redis", "a+b")
WORDS = st.text(alphabet="abcABC$@. \n\t:/-19é٤ǅ", max_size=6)
NUMBERS = {
    "integer": st.integers(-20, 20) | st.integers(),
    "float": st.integers(-20, 20) | st.floats(allow_nan=False, allow_infinity=False),
}
TEXTS = st.one_of(
    WORDS,
    st.text(),
    NUMBERS["integer"].map(str),
    NUMBERS["float"].map(lambda number: f"{number:f}"),
    st.builds(
        "{}{}.{}".format, st.sampled_from(["", "+", "-", "--", " "]), st.integers(0, 99), st.integers(0, 99)
    ),
    st.sampled_from(
        ["true", "false", "True", "1e3", "nan", "inf", "1_0", "٤", "4\n", ".5", "5.", "+", "9" * 5000]
    ),
)
HOSTS = ("h", "u:p@h", "[::1]", "[", "", "h\t", " h", "h:80", "h:0", "h:x", "h:99999", "\x00h", "\u2102")


# Every text of at most three of these characters, and every text of these parts of URLs and numbers.
SHORT = ["".join(letters) for length in (1, 2, 3) for letters in itertools.product("aBb@$ \n", repeat=length)]
URLS = [
    "".join(parts)
    for parts in itertools.product(
        ("http", "HTTP", "redis", "a+b", "ftp", ""),
        ("://", ":", "//", ""),
        HOSTS,
        ("", "/p", "?q", " ", "\n", "/a b"),
    )
]
NUMERALS = [
    f"{sign}{digits}"
    for sign in ("", "+", "-", " ", "--")
    for digits in (
        "0",
        "2",
        "5",
        "6",
        "05",
        "5.0",
        "5.1",
        "5.",
        ".5",
        "5.0.0",
        "1_0",
        "1e1",
        "nan",
        "٤",
        "²",
        "9" * 5000,
    )
]


def texts(drawn: dict[str, Any]) -> st.SearchStrategy[list[str]]:
    """Return what draws texts, of which many are good by these rules, or nearly."""
    edges = [str(drawn[rule]) for rule in ("min", "max") if rule in drawn]
    edges += ["x" * drawn[rule] for rule in ("minlength", "maxlength") if rule in drawn]
    aimed = [TEXTS, st.sampled_from([*map(str, drawn.get("allowed", ())), *edges, "x"])]
    if "regex" in drawn:
        aimed.append(st.from_regex(drawn["regex"]))
    if "url" in drawn:
        aimed.append(st.sampled_from(URLS))
    return st.lists(st.one_of(aimed), min_size=1, max_size=12)


def optional(**strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return what draws some of these rules, in any order."""
    drawn = st.fixed_dictionaries({}, optional=strategies)
    return drawn.flatmap(lambda some: st.permutations(list(some.items())).map(dict))


def numeric(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    """Return what draws a number's rules."""
    number = NUMBERS[kind]
    bound = NUMBERS["float"].filter(lambda value: math.isfinite(float(value)))
    rules = optional(min=bound, max=bound, allowed=st.lists(number, min_size=1, max_size=4), default=number)
    return rules.map(lambda some: {"type": kind, **some})


STRINGS: dict[str, st.SearchStrategy[Any]] = {
    "allowed": st.lists(WORDS.filter(bool), min_size=1, max_size=4),
    "regex": st.sampled_from(PATTERNS),
    "minlength": st.integers(0, 6),
    "maxlength": st.integers(0, 6),
    "url": st.lists(st.sampled_from(SCHEMES), min_size=1, max_size=3),
    "nullable": st.booleans(),
    "default": st.none() | WORDS,
}
RULES = {
    "string": optional(**STRINGS).map(lambda some: {"type": "string", **some}),
    "integer": numeric("integer"),
    "float": numeric("float"),
    "boolean": optional(allowed=st.lists(st.booleans(), min_size=1), default=st.booleans()).map(
        lambda some: {"type": "boolean", **some}
    ),
}


def built(drawn: dict[str, Any]) -> schema.Schema:
    """Return a schema of one key with these rules, without a default that they refuse."""
    try:
        return schema.build({"services": {"web": {"command": "web"}}, "keys": {"KEY": {**drawn, "meta": META}}})
    except schema.SchemaError:
        if "default" not in drawn:
            raise
        return built({rule: bound for rule, bound in drawn.items() if rule != "default"})


def by_cerberus(key: Key, text: str) -> Any:
    """Return what is wrong with a text, or its value with its type."""
    return key.problem(text) or (key.parse(text), TYPES[key.rules["type"]])


def by_rules(compiled: Mapping[str, Any], text: str) -> Any:
    """Return the same by the rules that services start with."""
    problem = rules.problem(compiled, text)
    value = None if problem else rules.parse(compiled["type"], text)
    return problem or (value, type(value))


@pytest.mark.parametrize("kind", list(RULES))
@settings(max_examples=200)
@given(data=st.data())
def test_compiled_rules_judge_as_cerberus_does(kind: str, data: st.DataObject) -> None:
    """For any rules and any text both say the same in the same words, and a good text is the same value."""
    drawn = data.draw(RULES[kind])
    whole = built(drawn)
    key, compiled = whole.keys["KEY"], modules.imported(whole)["KEYS"]["KEY"]

    for text in data.draw(texts(drawn)):
        assert by_cerberus(key, text) == by_rules(compiled, text)
    assert key.rules.get("default") == compiled.get("default")


@pytest.mark.parametrize(
    ("drawn", "tried"),
    [
        *(({"type": "string", "regex": pattern}, SHORT) for pattern in PATTERNS),
        ({"type": "string", "minlength": 2}, SHORT),
        ({"type": "string", "maxlength": 2}, SHORT),
        ({"type": "string", "allowed": ["a", "b$"]}, SHORT),
        ({"type": "string", "url": ["http", "redis", "a+b"]}, URLS),
        ({"type": "integer", "min": -2, "max": 5}, NUMERALS),
        ({"type": "integer", "allowed": [2, 5]}, NUMERALS),
        ({"type": "float", "min": -2, "max": 5.0}, NUMERALS),
        ({"type": "boolean", "allowed": [True]}, ["true", "false", "True", " true", "1"]),
    ],
)
def test_compiled_rules_judge_every_short_text_as_cerberus_does(drawn: dict[str, Any], tried: list[str]) -> None:
    """Where a regex is anchored, what a length counts, what a URL or a number is, whether a bound is included."""
    key = Key("KEY", drawn, META)
    verdicts = [by_cerberus(key, text) for text in tried]

    assert verdicts == [by_rules(key.rules, text) for text in tried]
    assert len(set(verdicts)) > 1


@pytest.mark.parametrize(
    ("drawn", "text", "expected"),
    [
        ({"type": "boolean"}, "yes", "is neither true nor false"),
        ({"type": "boolean", "allowed": [True]}, "false", "is none of True"),
        ({"type": "integer"}, "9" * 5000, "has too many digits"),
        ({"type": "integer", "allowed": [1, 2]}, "3", "is none of 1, 2"),
        ({"type": "float", "max": 1}, "9" * 5000, "is above 1"),
        ({"type": "string", "maxlength": 2}, "abc", "is longer than 2 characters"),
        ({"type": "string", "maxlength": 2, "regex": "[0-9]+"}, "abc", "is longer than 2 characters"),
        ({"type": "string", "regex": "[0-9]+"}, "12\n", None),
        ({"type": "string", "url": ["http"]}, "HTTP://h", None),
        ({"type": "string"}, "", "is empty"),
    ],
)
def test_the_words_for_a_bad_value(drawn: dict[str, Any], text: str, expected: str | None) -> None:
    """Both say what a value should have been; of several broken rules, the first by name."""
    key = built(drawn).keys["KEY"]

    assert (expected, expected) == (key.problem(text), rules.problem(key.rules, text))


# Each is read in another way by one of urllib, SQLAlchemy, libpq, redis-py and browsers than by the others.
TWO_WAYS = {
    "has an @ that clients read in two ways: in a user or password, / ? # @ are written %2F %3F %23 %40": (
        "{scheme}u:a@{word}@h/x",
        "{scheme}u:#{word}@h/x",
        "{scheme}u:?{word}@h/x",
        "{scheme}u:/{word}@h/x",
        "{scheme}u#{word}@h/x",
        "{scheme}h:80/{word}@other",
        "{scheme}h?x=@{word}",
        "{scheme}h#@{word}",
        "{scheme}u[:{word}@h/x",
    ),
    "has a character that no URL has: it is written as % and two hexadecimal digits": (
        "{scheme}h\\@{word}/x",
        "{scheme}u:{word}\\@h/x",
        "{scheme}h/\\{word}",
        "{scheme}h/{word} ",
        "{scheme}h/\t{word}",
        "{scheme}h/{word}\n",
        "{scheme}h\u3002{word}",
        "{scheme}\uff28/{word}",
        "{scheme}h:\u0664/{word}",
        "{scheme}u:{word}^@h/x",
        "{scheme}u:{word}|@h/x",
        '{scheme}u:{word}"@h/x',
        "{scheme}u:{word}ü@h/x",
    ),
    "has a % without two hexadecimal digits: in a URL, % itself is written %25": (
        "{scheme}u:%zz{word}@h/x",
        "{scheme}u:5%@h/x",
        "{scheme}[::1%eth0]/{word}",
    ),
    "has a % whose hexadecimal digits are not text in UTF-8": (
        "{scheme}u:%ff{word}@h/x",
        "{scheme}u:%00{word}@h/x",
        "{scheme}u:%09{word}@h/x",
        "{scheme}u:%0a{word}@h/x",
        "{scheme}u:%0d{word}@h/x",
        "{scheme}u:%e2%80%8b{word}@h/x",
    ),
    "is not a URL that starts with http:// or https:// or postgresql:// or redis://": (
        " {scheme}h/{word}",
        "{scheme}",
        "ftp://h/{word}?x={scheme}h",
    ),
    "holds a character that cannot be seen": ("{scheme}h\u00a0/{word}", "{scheme}h\u200b/{word}"),
    "has a host that is not a name: letters, digits, - and _, with dots between them": (
        "{scheme}h%2e{word}/x",
        "{scheme}h,i/{word}",
        "{scheme}.h/{word}",
        "{scheme}h..i/{word}",
    ),
    "has a port that is not a number from 1 to 65535": (
        "{scheme}h:/{word}",
        "{scheme}h:0/{word}",
        "{scheme}h:65536/{word}",
        "{scheme}h:08/{word}",
        "{scheme}h:+80/{word}",
        "{scheme}h:80:90/{word}",
        "{scheme}h:80,i:90/{word}",
    ),
    "has a host or a port that clients read in two ways": ("{scheme}[::1/{word}", "{scheme}[::1]x/{word}"),
    "has no host": (
        "{scheme}::1/{word}",
        "{scheme}/{word}",
        "{scheme}:80/{word}",
        "{scheme}u:p@/{word}",
        "{scheme}//h/{word}",
    ),
    "has a host in [ ] that is not an IPv6 address": (
        "{scheme}[::g]/{word}",
        "{scheme}[v1.x]/{word}",
        "{scheme}[fe80::1%25eth0]/{word}",
    ),
}
WORDS_OF_A_QUERY = "host hostaddr port user username password passfile service servicefile HOST %68ost"
ONE_WAY = [
    "http://h",
    "http://h/",
    "http://h:8080/a/b;c?d=e&f=g#h",
    "http://h/#/route@x",
    "https://h.example./@user",
    "https://h?host=i&port=2",
    "http://u@h/x",
    "postgresql://u:p@h/x@y",
    "redis://:p:q@h:6379/0",
    "postgresql://u:a%40b%2F%23%3F%25%C3%BC@h:5432/x?sslmode=verify-full&options=-c%20a%3Db",
    "postgresql://u:!$&'()*+,;=~._-@h/x",
    "http://[::1]:80/x",
    "http://[::ffff:127.0.0.1]/x",
    "http://127.1/x",
    "http://a_b-c.d/x",
    "http://H.Example:65535/x",
    "http://h:1/%c3%bc",
    "http://h/x?next=https://i/y",
]


def url(text: str) -> tuple[str | None, str | None]:
    """Return what the schema and a service say of a URL of any of these schemes."""
    key = built({"type": "string", "url": ["http", "https", "postgresql", "redis"]}).keys["KEY"]
    return key.problem(text), rules.problem(key.rules, text)


@pytest.mark.parametrize("scheme", ["http://", "postgresql://", "redis://"])
@pytest.mark.parametrize(("expected", "shape"), [(what, one) for what, some in TWO_WAYS.items() for one in some])
def test_a_url_that_clients_read_in_two_ways_is_refused(scheme: str, expected: str, shape: str) -> None:
    """What the schema takes for the host or the password is what each client takes; what is wrong is not shown."""
    text = shape.format(scheme=scheme, word=secrets.token_hex(8))

    assert (expected, expected) == url(text)


@pytest.mark.parametrize("name", WORDS_OF_A_QUERY.split())
@pytest.mark.parametrize("query", ["{}=i", "{}=", "sslmode=require&{}=i", "{}=i?j"])
def test_a_database_is_named_once(name: str, query: str) -> None:
    """Its clients take a host or a password from the query, which would then be another than the first."""
    expected = "names its host, port, user or password a second time, after the ?"

    assert (expected, expected) == url(f"postgresql://u:p@h/x?{query.format(name)}")


@pytest.mark.parametrize("text", ["redis://h/0#1", "postgresql://u:p@h/x#y"])
def test_the_url_of_a_database_has_no_fragment(text: str) -> None:
    """Some of its clients take a # as a part of its name."""
    expected = "has a # that clients read in two ways: it is written %23"

    assert (expected, expected) == url(text)


@pytest.mark.parametrize("text", ONE_WAY)
def test_a_url_that_all_read_alike_is_good(text: str) -> None:
    """Each part that RFC 3986 allows, written as it says."""
    assert (None, None) == url(text)


@pytest.mark.parametrize(
    "character",
    [
        *(
            "\0",
            "\x1b",
            "\x7f",
            "\x85",
            "\xa0",
            "\xad",
            "\u034f",
            "\u061c",
            "\u115f",
            "\u1680",
            "\u180e",
            "\u2003",
        ),
        *(
            "\u200b",
            "\u200c",
            "\u200d",
            "\u200e",
            "\u202e",
            "\u2028",
            "\u2060",
            "\u2066",
            "\u206f",
            "\u2800",
            "\u3000",
        ),
        *("\u3164", "\ufe0f", "\ufe01", "\ufeff", "\uffa0", "\ufff9", "\U0001d173", "\U000e0041", "\U000e0100"),
    ],
)
def test_a_character_that_nobody_sees_is_refused(character: str) -> None:
    """At the beginning, inside and at the end, of a value of any length."""
    key = built({"type": "string"}).keys["KEY"]
    for text in (f"{character}ab", f"a{character}b", f"ab{character}", f"{'x' * 5000}\n{character}"):
        assert ("holds a character that cannot be seen",) * 2 == (
            key.problem(text),
            rules.problem(key.rules, text),
        )


@pytest.mark.parametrize(
    "text", ["a b", "a\tb\r\nc\n", "ü é 漢字 עברית", "\u26a0\ufe0f", "👩\u200d💻", "❤️\u200d🔥", "1\ufe0f⃣"[:1]]
)
def test_what_is_seen_is_taken(text: str) -> None:
    """Lines, tabs, any script, and emoji with what joins them."""
    assert rules.problem({"type": "string"}, text) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, "true"),
        (False, "false"),
        (12, "12"),
        (2.5, "2.5"),
        (1e-07, "0.0000001"),
        (1e16, "10000000000000000"),
        ("1e-05", "1e-05"),
    ],
)
def test_the_text_of_a_value(value: object, expected: str) -> None:
    """It is what `parse` reads, which knows no exponents."""
    assert expected == rules.text(value)
