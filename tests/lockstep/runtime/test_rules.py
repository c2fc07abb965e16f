"""Cerberus and the rules that services start with, held equal."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ci.ground import schema
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
    "a$b",
    "(?i)abc",
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
    st.sampled_from(PATTERNS),
    st.builds(
        "{}{}{}{}".format,
        st.sampled_from([*SCHEMES, "HTTP", "ftp", ""]),
        st.sampled_from(["://", ":", "//", ""]),
        st.sampled_from(
            ["h", "u:p@h", "[::1]", "[", "", "h\t", " h", "h:80", "h:0", "h:x", "h:99999", "\x00h", "\u2102"]
        ),
        st.sampled_from(["", "/p", "?q", " ", "\n"]),
    ),
)


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


RULES = st.one_of(
    optional(
        allowed=st.lists(WORDS.filter(bool), min_size=1, max_size=4),
        regex=st.sampled_from(PATTERNS),
        minlength=st.integers(0, 6),
        maxlength=st.integers(0, 6),
        url=st.lists(st.sampled_from(SCHEMES), min_size=1, max_size=3),
        nullable=st.booleans(),
        default=st.none() | WORDS,
    ).map(lambda some: {"type": "string", **some}),
    numeric("integer"),
    numeric("float"),
    optional(allowed=st.lists(st.booleans(), min_size=1), default=st.booleans()).map(
        lambda some: {"type": "boolean", **some}
    ),
)


def built(drawn: dict[str, Any]) -> schema.Schema:
    """Return a schema of one key with these rules, without a default that they refuse."""
    try:
        return schema.build({"services": {"web": {"module": "web"}}, "keys": {"KEY": {**drawn, "meta": META}}})
    except schema.SchemaError:
        if "default" not in drawn:
            raise
        return built({rule: bound for rule, bound in drawn.items() if rule != "default"})


@settings(max_examples=400)
@given(drawn=RULES, texts=st.lists(TEXTS, min_size=1, max_size=8))
def test_compiled_rules_judge_as_cerberus_does(drawn: dict[str, Any], texts: list[str]) -> None:
    """For any rules and any text both say the same in the same words, and a good text is the same value."""
    whole = built(drawn)
    key, compiled = whole.keys["KEY"], modules.imported(whole)["KEYS"]["KEY"]

    for text in (*texts, *map(str, drawn.get("allowed", ()))):
        problem = key.problem(text)
        assert problem == rules.problem(compiled, text)
        if problem is None:
            value, other = key.parse(text), rules.parse(compiled["type"], text)
            assert (value, type(value)) == (other, type(other))
    assert key.rules.get("default") == compiled.get("default")


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
