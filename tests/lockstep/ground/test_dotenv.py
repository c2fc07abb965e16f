import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.ground import dotenv


def test_lines_comments_and_blanks() -> None:
    """Values are literal from the first = to the end of the line."""
    values, problems = dotenv.parse(b"# about\n\nA=1=2 # not a comment\nB=$HOME%s\nC=\xc3\xbc")

    assert {"A": "1=2 # not a comment", "B": "$HOME%s", "C": "ü"} == values
    assert [] == problems


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"A", "line 1: is not KEY=value, without blanks, quotes or export"),
        (b"a=1", "line 1: is not KEY=value, without blanks, quotes or export"),
        (b" A=1", "line 1: is not KEY=value, without blanks, quotes or export"),
        (b"A =1", "line 1: is not KEY=value, without blanks, quotes or export"),
        (b"export A=1", "line 1: is not KEY=value, without blanks, quotes or export"),
        (b" # indented", "line 1: is not KEY=value, without blanks, quotes or export"),
        (b"\xef\xbb\xbfA=1", "line 1: is not KEY=value, without blanks, quotes or export"),
        (b"A=1\nA=2", "line 2: A is there twice"),
        (b"\n\nA=", "line 3: A is empty"),
        (b"A=1\r\n", "line 1: A holds a line break"),
        (b"A=1\\n2", "line 1: A holds a backslash before an n, which sops turns into a line break"),
        (b"A= 1", "line 1: A begins or ends with a blank"),
        (b"A='1'", "line 1: A begins or ends with a quote, which would become part of the value"),
        (b"A=1\x00", "line 1: A holds a control character or bytes that are no UTF-8"),
        (b"\nB=\xff\nC=1\n", "line 2: is not UTF-8"),
    ],
)
def test_what_would_be_read_differently_is_a_problem(data: bytes, expected: str) -> None:
    """Each is named by its line and key, without its value."""
    _, problems = dotenv.parse(data)

    assert [expected] == [str(problem) for problem in problems]


def test_every_problem_is_named() -> None:
    """The lines after a bad one are read, and a problem that has no key has an empty one."""
    data = b"export A=1\nB=2\nC\nB=3\n"

    assert {"B": "3"} == dotenv.parse(data)[0]
    assert [(1, ""), (3, ""), (4, "B")] == [(problem.line, problem.key) for problem in dotenv.parse(data)[1]]
    assert [(1, "")] == [(problem.line, problem.key) for problem in dotenv.parse(b"\xff")[1]]


@given(st.binary())
def test_any_bytes_give_values_or_problems(data: bytes) -> None:
    """No input makes the parser fail, and without a problem it goes round."""
    values, problems = dotenv.parse(data)

    if not problems:
        assert (values, []) == dotenv.parse(dotenv.render(values).encode())


@given(st.dictionaries(st.from_regex("[A-Z][A-Z0-9_]*", fullmatch=True), st.text()))
def test_clean_values_go_round(values: dict[str, str]) -> None:
    """Every value that is called clean survives, byte for byte."""
    clean = {key: value for key, value in values.items() if dotenv.dirt(value) is None}

    assert (clean, []) == dotenv.parse(dotenv.render(clean).encode())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('a\\tb C:\\temp it\'s "here"!', 'a\\tb C:\\temp it\'s "here"!'),
        ("line 1\nline 2\n", '"line 1\\nline 2\\n"'),
        ("\r\n", '"\\r\\n"'),
        ("a\\nb", '"a\\\\nb"'),
        (" lead", '" lead"'),
        ("\ttab", '"\\ttab"'),
        ('"x"', '"\\"x\\""'),
        ("'x'", "\"'x'\""),
        ("ü\n\x9b\x7f", '"ü\\n\\u009b\\u007f"'),
    ],
)
def test_a_value_that_a_line_cannot_hold_is_a_json_string(value: str, expected: str) -> None:
    """Every other value is written as it is; no terminal obeys what is shown."""
    assert expected == dotenv.shown(value)
    assert (value, None) == dotenv.typed(expected)
    assert ({"A": value}, []) == dotenv.parse_secrets(f"A={expected}\n".encode())


@given(st.dictionaries(st.from_regex("[A-Z][A-Z0-9_]*", fullmatch=True), st.text()))
def test_every_text_without_nul_goes_round(values: dict[str, str]) -> None:
    """What is shown of a secret and typed again is the same secret; each has a line of its own."""
    fit = {key: value for key, value in values.items() if dotenv.unfit(value) is None}

    assert (fit, []) == dotenv.parse_secrets(dotenv.render(fit).encode())
    assert [] == [value for value in values.values() if dotenv.unfit(value) and value and "\0" not in value]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('"', "begins with a double quote and is not a JSON string"),
        ('"abc', "begins with a double quote and is not a JSON string"),
        ('"abc" # why', "begins with a double quote and is not a JSON string"),
        ('"abc" ', "begins with a double quote and is not a JSON string"),
        ('"abc"\r', "begins with a double quote and is not a JSON string"),
        ('"a", "b"', "begins with a double quote and is not a JSON string"),
        ('"\\x"', "begins with a double quote and is not a JSON string"),
        ('"\ta"', "begins with a double quote and is not a JSON string"),
        ('""', "is empty"),
        ('"\\u0000"', "holds a NUL, which no environment variable can"),
        ('"\\ud800"', "holds bytes that are not UTF-8"),
        ("a\\nb", "holds a backslash before an n, which sops turns into a line break"),
        ("'a'", "begins or ends with a quote, which would become part of the value"),
        ("a\r", "holds a line break"),
    ],
)
def test_a_typed_value_that_can_be_read_in_two_ways_is_a_problem(line: str, expected: str) -> None:
    """Shells, sops and JSON read quotes and backslashes differently: only the one way is taken."""
    assert expected == dotenv.typed(line)[1]


@pytest.mark.parametrize(("size", "expected"), [(65_536, None), (65_537, "is longer than 65,536 bytes")])
@pytest.mark.parametrize("letter", ["x", "\n"])
def test_the_longest_value_has_64_kb(size: int, expected: str | None, letter: str) -> None:
    """One byte more is refused, with the bound."""
    value = letter * size

    assert expected == dotenv.unfit(value)
    assert expected == dotenv.typed(dotenv.shown(value))[1]


def test_the_bound_counts_bytes() -> None:
    """Not characters."""
    assert "is longer than 65,536 bytes" == dotenv.unfit("ü" * 32_769)
