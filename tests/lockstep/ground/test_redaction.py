"""What a program prints, without the values that it was given."""

import base64
import itertools
import json
import re
import secrets
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.ground.redaction import Redaction, Stream
from runtime import Secret

KEY = f"SK{secrets.token_hex(16)}:{secrets.token_urlsafe(24)}"
PASSWORD = f"p/@{secrets.token_hex(8)}"
URL = f"postgresql://lockstep:{quote(PASSWORD, safe='')}@db.internal:5432/lockstep"
PEM = "\n".join(["-----BEGIN KEY-----", *(secrets.token_hex(32) for _ in range(3)), "ab==", "-----END KEY-----"])

ODD = f'"\\ä{secrets.token_hex(8)}'

FORMS = {
    "whole": KEY,
    "a part": KEY.partition(":")[2],
    "in a URL": quote(KEY, safe=""),
    "base64": base64.b64encode(KEY.encode()).decode(),
    "a URL": URL,
    "a URL's password": PASSWORD,
    "a URL's password as it is written": quote(PASSWORD, safe=""),
    "lines": PEM,
    "a line": PEM.splitlines()[2],
    "JSON": json.dumps(ODD)[1:-1],
    "JSON as it is read": json.dumps(ODD, ensure_ascii=False)[1:-1],
    "as Python has it": repr(ODD)[1:-1],
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_hidden(form: str) -> None:
    """A value is hidden whole, in part, and as a URL, base64 or JSON has it; what is around it is shown."""
    printed = FORMS[form]
    shown = Redaction([Secret(KEY), Secret(URL), Secret(PEM), Secret(ODD)]).text(f"before {printed}, after")

    assert re.fullmatch(r"before (\*\*\*\n?)+(.?=+)?, after", shown)


@pytest.mark.parametrize(
    ("value", "printed", "expected"),
    [
        ("a~~~~~~~~/b", quote("a~~~~~~~~/b", safe=""), "***"),
        ("~~~???~~~", base64.b64encode(b"~~~???~~~").decode(), "***"),
        ("~~~???~~~", base64.urlsafe_b64encode(b"~~~???~~~").decode(), "***"),
        ("12345678", base64.b64encode(b"12345678").decode()[:10], "***"),
        ("1234567", "MTIzNDU2Nw==", "MTIzNDU2Nw=="),
        ("12345678\n1234567", "a 12345678 b 1234567", "a *** b 1234567"),
        ("0123456789abcdef,0123456789ABCDE", "0123456789abcdef 0123456789ABCDE", "*** 0123456789ABCDE"),
        ("https://a-very-long-host.example/a", "//a-very-long-host.example/a", "//a-very-long-host.example/a"),
        ("\udcff\udcfe", "\udcff\udcfe \udcff", "*** \udcff"),
        ("ab", "abab ab", "****** ***"),
    ],
)
def test_what_is_hidden_of_a_value(value: str, printed: str, expected: str) -> None:
    """From which length on a line, a part and base64 are, in either alphabet, and whichever bytes it holds."""
    redaction = Redaction([Secret(value)])

    assert expected == redaction.text(printed)
    assert (
        expected.encode(errors="surrogateescape")
        == redaction.split(printed.encode(errors="surrogateescape"), last=True)[0]
    )


@pytest.mark.parametrize("before", ["", "x", "xy"])
def test_base64_is_hidden_within_a_longer_text(before: str) -> None:
    """An `Authorization: Basic` header, whatever stands beside the value in it, is shown without the value."""
    encoded = base64.urlsafe_b64encode(f"{before}{KEY}y".encode()).decode()

    shown = Redaction([Secret(KEY)]).text(f"Basic {encoded}")

    assert encoded[4:-4] not in shown
    assert len(shown) <= len("Basic ***") + 8


def test_what_is_not_secret_is_shown() -> None:
    """Neither the host in a URL nor a short line is hidden; without values everything is shown."""
    assert "db.internal:5432 ab==" == Redaction([Secret(URL), Secret(PEM)]).text("db.internal:5432 ab==")
    assert KEY == Redaction([]).text(KEY)


@given(cuts=st.lists(st.integers(0, 400), max_size=12))
def test_a_stream_hides_what_is_cut(cuts: list[int]) -> None:
    """Wherever a stream is cut into pieces, it shows what the whole text shows."""
    redaction = Redaction([Secret(KEY), Secret(PEM), Secret(f"{PEM}\nx")])
    text = f"a {KEY} b {PEM}\n{KEY[:20]} {PEM}\nx {KEY}{KEY} {KEY[:-1]}".encode()
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[start:end] for start, end in itertools.pairwise(places)]
    stream = Stream(redaction)

    shown = b"".join([*(stream.shown(piece) for piece in pieces), stream.shown(b"")])

    assert redaction.text(text.decode()).encode() == shown


def test_a_stream_holds_back_no_more_than_it_must() -> None:
    """What cannot become a value is shown at once: a prompt is seen before it is answered."""
    assert b"password? " == Stream(Redaction([Secret(KEY)])).shown(b"password? ")
    assert b"Say it: " == Stream(Redaction([Secret(KEY)])).shown(b"Say it: ")


@pytest.mark.parametrize("before", ["", "S", "Say S", "SS"])
def test_a_stream_holds_the_first_letter_of_a_value(before: str) -> None:
    """Also where the letters before it are the same."""
    stream = Stream(Redaction([Secret(KEY)]))

    shown = stream.shown(f"{before}{KEY[0]}".encode()) + stream.shown(KEY[1:].encode()) + stream.shown(b"")

    assert f"{before}***".encode() == shown
