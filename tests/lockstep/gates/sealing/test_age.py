"""Headers of age files, good and bad ones, made here."""

import base64
import re
import secrets
from collections.abc import Callable

import pytest

from ci.gates.sealing import age
from ci.ground.repo import Repo
from tests.lockstep.gates.sealing.changes import Change
from tests.lockstep.gates.sealing.envelopes import envelope
from tests.lockstep.gates.sealing.repos import rules

VERSION = b"age-encryption.org/v1\n"
PRIME = 2**255 - 19
ORDER_8 = 325606250916557431795983626356110631294008115727848805560023387167927233504
OTHER_8 = 39382357235489614581723060781553021112529911719440698176882885853963445705823
LOW = [0, 1, PRIME - 1, PRIME, PRIME + 1, ORDER_8, OTHER_8]
LOW += [point + 2**255 for point in LOW]  # the highest bit does not count


def b64(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


def stanza(kind: bytes = b"X25519", size: int = 32, body: int = 32, more: bytes = b"") -> bytes:
    """Return a stanza with random bytes of these lengths."""
    text = b64(secrets.token_bytes(body))
    rows = [text[start : start + 64] for start in range(0, len(text), 64)]
    rows += [] if rows and len(rows[-1]) < 64 else [b""]
    return b"-> %b %b%b\n%b\n" % (kind, b64(secrets.token_bytes(size)), more, b"\n".join(rows))


def header(*stanzas: bytes, mac: int = 32, payload: int = 64) -> bytes:
    text = b64(secrets.token_bytes(mac))
    return b"%b%b--- %b\n%b" % (VERSION, b"".join(stanzas), text, secrets.token_bytes(payload))


def shared(point: int, kind: bytes = b"X25519") -> bytes:
    """Return a stanza whose X25519 share is a point."""
    before = b"" if kind == b"X25519" else secrets.token_bytes(1088)
    share = before + point.to_bytes(32, "little")
    return b"-> %b %b\n%b\n" % (kind, b64(share), b64(secrets.token_bytes(32)))


def spare_bits(text: bytes) -> bytes:
    """Return the same bytes in another base64: the last character has bits to spare."""
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return text[:-1] + bytes([letters[letters.index(text[-1]) + 1]])


WORK = (b"0", b"23", b"018", b"+1", b"0x1", b"-1", b"1e", b"9" * 30)
PLUGIN = b"-> piv-p256 abc def\n%b\n" % b64(b"x" * 10)
GOOD = [
    header(stanza()),
    header(stanza(), stanza()),
    header(stanza(b"mlkem768x25519", 1120)),
    header(stanza(), stanza(b"mlkem768x25519", 1120)),
    *(header(stanza(b"scrypt", 16, more=work)) for work in (b" 1", b" 9", b" 18", b" 22")),
    header(stanza(), PLUGIN),
    header(b"-> grease ends\nAAAX\n", stanza()),
    header(stanza(b"x25519", 5)),
    header(stanza(b"grease!~", 3, body=0)),
    header(stanza(b"grease", 3, body=48)),
    header(stanza(b"grease", 3, body=100), stanza()),
    header(stanza(), payload=16),
]
BAD = [
    b"",
    VERSION,
    header(),
    header(stanza()).replace(b"/v1", b"/v2", 1),
    header(stanza()).replace(b"/v1\n", b"/v1\r\n", 1),
    header(stanza()).partition(b"---")[0],
    header(stanza()).partition(b"---")[0] + b"---",
    header(stanza()).replace(b"--- ", b"---", 1),
    header(stanza()).replace(b"--- ", b"---  ", 1),
    header(stanza(), mac=31),
    header(stanza(), mac=33),
    re.sub(rb"--- (\S+)", lambda match: b"--- " + spare_bits(match[1]), header(stanza())),
    re.sub(rb"--- (\S+)", rb"--- \1 ", header(stanza())),
    header(stanza(), payload=15),
    header(stanza(), payload=0),
    *(header(stanza().replace(*change)) for change in ((b"-> ", b"->"), (b"-> ", b"->  "), (b"\n", b"\r\n"))),
    header(b"->\n\n"),
    header(b"-> \n\n"),
    header(b"-> X25519  a\n\n"),
    header("-> \u00e9\n\n".encode()),
    header(b"-> a b\nAAA=\n"),
    header(b"-> a b\nAAA\n"[:-5] + b"A B\n"),
    header(b"-> a b\n" + b"A" * 65 + b"\n"),
    header(b"-> a b\n%b\n%b\n" % (b"A" * 65, b"A" * 23)),
    header(b"-> a b\n" + b"A" * 64 + b"\n"),
    header(b"-> a b\nAA\nAA\n"),
    header(b"-> a b\nAB\n"),
    header(b"-> a b\n"),
    header(stanza(size=31)),
    header(stanza(size=33)),
    header(stanza(body=31)),
    header(stanza(body=33)),
    header(stanza(more=b" more")),
    header(b"-> X25519\n%b\n" % b64(bytes(32))),
    header(re.sub(rb"X25519 (\S+)", lambda match: b"X25519 " + spare_bits(match[1]), stanza())),
    header(stanza(b"mlkem768x25519", 1119)),
    header(stanza(b"mlkem768x25519", 1121)),
    header(stanza(b"mlkem768x25519", 32)),
    header(stanza(b"X25519", 1120)),
    header(stanza(b"mlkem768x25519", 1120, more=b" more")),
    header(stanza(b"scrypt", 16, more=b" 18"), stanza()),
    header(stanza(b"scrypt", 16, more=b" 18"), stanza(b"scrypt", 16, more=b" 18")),
    header(stanza(b"scrypt", 15, more=b" 18")),
    header(stanza(b"scrypt", 16)),
    *(
        header(stanza(b"scrypt", 16, more=b" " + work))
        for work in (b"0", b"23", b"018", b"+1", b"0x1", b"-1", b"1e", b"9" * 30)
    ),
    *(header(shared(point)) for point in LOW if point < 2**256),
    *(header(shared(point, b"mlkem768x25519")) for point in LOW if point < 2**256),
    header(stanza(), shared(0)),
]


@pytest.mark.parametrize("data", GOOD, ids=map(str, range(len(GOOD))))
def test_a_header_that_age_takes(data: bytes) -> None:
    """With every stanza that it has, and the payload."""
    stanzas, payload = age.parse(data)

    assert data.partition(b"\n--- ")[0].count(b"-> ") == len(stanzas)
    assert data.endswith(payload)


def test_a_stanza_is_read_whole() -> None:
    """Its kind, its arguments and its body, whose lines have 64 characters."""
    body = secrets.token_bytes(100)
    text = b64(body)
    made = header(b"-> grease a b!~\n%b\n%b\n%b\n" % (text[:64], text[64:128], text[128:]))

    assert [age.Stanza(b"grease", (b"a", b"b!~"), body)] == age.parse(made)[0]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (header(stanza(), mac=31), "has a MAC that is not of 32 bytes"),
        (
            re.sub(rb"--- (\S+)", lambda match: b"--- " + spare_bits(match[1]), header(stanza())),
            "has a MAC that is not canonical base64",
        ),
        (header(b"-> a b\nAB\n"), "has a body that is not canonical base64"),
        (
            header(re.sub(rb"X25519 (\S+)", lambda match: b"X25519 " + spare_bits(match[1]), stanza())),
            "has an argument that is not canonical base64",
        ),
    ],
)
def test_what_is_wrong_is_said(data: bytes, expected: str) -> None:
    """The part of the header by the name that age's specification has for it."""
    with pytest.raises(age.Malformed) as caught:
        age.parse(data)

    assert expected == str(caught.value)


@pytest.mark.parametrize("data", BAD, ids=map(str, range(len(BAD))))
def test_a_header_that_age_refuses(data: bytes) -> None:
    """It is refused, in words that say why."""
    with pytest.raises(age.Malformed, match=r"^(is|has|ends)"):
        age.parse(data)


def with_share(point: int) -> Callable[[bytes], bytes]:
    return lambda raw: re.sub(rb"X25519 \S+", b"X25519 " + b64(point.to_bytes(32, "little")), raw)


@pytest.mark.parametrize("change", [envelope(with_share(point)) for point in LOW[:6]])
def test_a_share_of_low_order_is_found(repo: Repo, change: Change) -> None:
    """Anybody can compute the key that such an envelope is wrapped with."""
    change(repo)

    assert {"envelope"} == rules(repo)
