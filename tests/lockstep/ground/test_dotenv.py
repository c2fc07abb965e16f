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
        (b"A=1\r\n", "line 1: A holds a line break, encode it (base64) or leave it out"),
        (b"A=1\\n2", "line 1: A holds a backslash before an n, which sops turns into a line break"),
        (b"A= 1", "line 1: A begins or ends with a blank"),
        (b"A='1'", "line 1: A begins or ends with a quote, which would become part of the value"),
        (b"A=1\x00", "line 1: A holds a control character or bytes that are no UTF-8"),
        (b"A=1\nB=\xff", "line 2: is not UTF-8"),
    ],
)
def test_what_would_be_read_differently_is_a_problem(data: bytes, expected: str) -> None:
    """Each is named by its line and key, without its value."""
    _, problems = dotenv.parse(data)

    assert [expected] == [str(problem) for problem in problems]


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
