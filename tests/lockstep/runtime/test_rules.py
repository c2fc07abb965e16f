"""Cerberus and the rules that services start with, held equal."""

import itertools
import math
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
