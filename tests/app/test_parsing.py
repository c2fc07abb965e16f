"""What a body may be, at the very bounds."""

import json
from typing import Any

import pytest

from app import parsing
from app.problems import Problem

STRINGS = ",".join(['"a"'] * 64)


def refusal(body: bytes) -> tuple[int, str, list[dict[str, str]]]:
    with pytest.raises(Problem) as caught:
        parsing.loads(body)
    return caught.value.status_code, caught.value.detail, caught.value.problems


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": {"b": "\\u00fc"}, "c": [1, -2.5, true, null]}', {"a": {"b": "ü"}, "c": [1, -2.5, True, None]}),
        ('""', ""),
        ('"a\\"b" ', 'a"b'),
        (f"[{STRINGS}]", ["a"] * 64),
        ("[" + " " * 4094 + "]", []),
        ('"' + "x" * 5000 + '"', "x" * 5000),
        ("[" + " " * 2047 + '"x"' + " " * 2047 + "]", ["x"]),
    ],
)
def test_a_body_is_read(text: str, expected: Any) -> None:
    """As JSON, with 64 strings at most, and 4,096 characters that are not in one."""
    assert expected == parsing.loads(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        f'[{STRINGS},"a"]',
        "[" + " " * 4095 + "]",
        "[" + " " * 2048 + '"x"' + " " * 2047 + "]",
        '"x"' + " " * 4097,
        " " * 4097 + '"x',
    ],
)
def test_a_body_of_too_many_parts_is_refused(text: str) -> None:
    """One string or one character more."""
    what = "the body has more parts than a notification"

    assert (400, what, [{"where": "body", "what": what}]) == refusal(text.encode())


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b'{"a": 1, "b": 2, "a": 1}', "the body has a name twice"),
        (b'["\xff"]', "the body cannot be read"),
        (b"[" * 4096, "the body cannot be read"),
    ],
)
def test_what_two_readers_take_differently_is_refused(body: bytes, what: str) -> None:
    """A name that stands twice, bytes that are not UTF-8, and nesting without an end."""
    assert (400, what, [{"where": "body", "what": what}]) == refusal(body)


@pytest.mark.parametrize("text", ["", "{", "'a'", '"a', '{"a": "b}', "NaN", "[Infinity]", "[-Infinity]", "1 2"])
def test_what_is_not_json_is_said_to_be_none(text: str) -> None:
    """FastAPI makes a 422 of it."""
    with pytest.raises(json.JSONDecodeError):
        parsing.loads(text.encode())


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_a_word_of_python_alone_is_named(word: str) -> None:
    """With its place."""
    with pytest.raises(json.JSONDecodeError) as caught:
        parsing.loads(word.encode())

    assert ("no JSON", word, 0) == (caught.value.msg, caught.value.doc, caught.value.pos)
