import json
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import httpx
import pytest

from app import parsing
from app.problems import Problem
from app.requests import LARGEST_BODY
from app.schemas import ADDRESS_LENGTH, EMAIL_LENGTH, SMS_LENGTH
from tests import services
from tests.app.asked import EMAIL, PATH, SMS, Api

pytestmark = pytest.mark.server


MARK = "do-not-repeat-me"  # stands in every body; no answer may hold it
LINE = "it holds a line end or another control character"
CONTROL = "holds a control character other than a tab or a line end"
NUMBER = "is not a phone number in E.164 form, such as +14155550123"
CHANNEL = "should be sms or email"


def test_an_sms_is_accepted(api: Api) -> None:
    """The receipt says where it is on its way; its content is not told again."""
    receipt = api.submit(body="the content")

    assert {"channel": "sms", "to": "+14155550123", "status": "queued", "attempts": 0} == {
        name: receipt[name] for name in ("channel", "to", "status", "attempts")
    }
    assert {"reason": None, "sent_at": None} == {name: receipt[name] for name in ("reason", "sent_at")}
    assert not {"body", "subject", "idempotency_key"} & receipt.keys()
    assert [(UUID(receipt["id"]), "the content")] == api.rows("id, body")


def test_an_accepted_one_is_nudged(api: Api) -> None:
    """The queue holds its id, the row says that it was told."""
    receipt = api.submit(**EMAIL)

    assert [receipt["id"]] == api.nudges()
    assert [(True,)] == api.rows("nudged_at IS NOT NULL")


def test_location_is_where_it_is_shown(api: Api) -> None:
    """A client may follow the Location header."""
    answer = api.client.post("/v1/notifications", json=SMS)

    assert answer.json() == api.client.get(answer.headers["Location"]).json()


@pytest.mark.parametrize(
    ("fields", "column"),
    [
        ({**SMS, "body": "ü🔑 ключ\n\ttab\r\nend"}, "body"),
        ({**SMS, "body": "x" * SMS_LENGTH}, "body"),
        ({**EMAIL, "body": "x" * EMAIL_LENGTH}, "body"),
        ({**EMAIL, "subject": "ü🔑 ключ"}, "subject"),
        ({**EMAIL, "subject": "x" * 200}, "subject"),
        ({**EMAIL, "idempotency_key": "x" * 200}, "idempotency_key"),
        ({**EMAIL, "to": "first.last+tag@sub.example.com"}, "recipient"),
        ({**SMS, "to": "+4915112345678"}, "recipient"),
    ],
)
def test_what_is_unusual_but_good_is_kept_as_it_is(api: Api, fields: dict[str, str], column: str) -> None:
    """Other scripts, line feeds in a body and the longest of everything arrive unchanged."""
    api.submit(**fields)

    assert [(fields["to" if column == "recipient" else column],)] == api.rows(column)


NUMBERS: tuple[str, ...] = (
    "",
    "14155550123",
    "+0123",
    "+1",
    "+1 415 555 0123",
    "tel:+14155550123",
    "+1415555012x",
    "anna",
)
NUMBERS += ("+14155550123;ext=7", "\uff0b14155550123", "+\u0661\u0664155550123", "anna@example.com")
ADDRESSES: tuple[str, ...] = (
    "+14155550123",
    "anna",
    "anna@",
    "@example.com",
    "a@b@example.com",
    "a b@example.com",
    "a@ex..com",
)
ADDRESSES += (
    "Anna <a@example.com>",
    "a@example.com,b@example.com",
    "a@[127.0.0.1]",
    "a@localhost",
    "a@-example.com",
)
ADDRESSES += ("jürgen@example.com", "anna@exämple.com")  # not every mail server takes these
CONTROLS = ("\x00", "\x07", "\x08", "\x0b", "\x0c", "\x1a", "\x1b", "\x1b[2J", "\x7f", "\x85", "\x9b")
SIGNS = ("\n", "\r", "\r\nBcc: x@example.com", "\x00", "\x1b", "\x7f", "\x85", "\u2028", "\u2029")
BAD: list[tuple[Any, str, str]] = [
    *[
        (content, "body", "should be a JSON object, sent as application/json")
        for content in ([SMS], MARK, None, 7)
    ],
    *[(SMS | {"channel": one}, "body.channel", CHANNEL) for one in ("SMS", "fax", None, 7, [MARK])],
    ({}, "body.channel", CHANNEL),
    *[({k: v for k, v in SMS.items() if k != name}, f"body.{name}", "Field required") for name in ("to", "body")],
    *[(SMS | {"to": one}, "body.to", "Input should be a valid string") for one in (None, 7, [MARK])],
    *[(SMS | {"body": one}, "body.body", "Input should be a valid string") for one in (None, 7, [MARK])],
    *[
        (SMS | {name: MARK}, f"body.{name}", "is not a field of this channel")
        for name in ("extra", "status", "id")
    ],
    (SMS | {"subject": "s"}, "body.subject", "an SMS has no subject"),
    *[(SMS | {"to": one}, "body.to", NUMBER) for one in NUMBERS],
    *[(EMAIL | {"to": one}, "body.to", "is not an e-mail address") for one in ADDRESSES],
    (EMAIL | {"to": f"a@{'x' * ADDRESS_LENGTH}.com"}, "body.to", f"at most {ADDRESS_LENGTH}"),
    ({k: v for k, v in EMAIL.items() if k != "subject"}, "body.subject", "Field required"),
    (EMAIL | {"subject": ""}, "body.subject", "at least 1"),
    (EMAIL | {"subject": "x" * 201}, "body.subject", "at most 200"),
    (EMAIL | {"subject": "\ud800"}, "body.subject", "Input should be a valid string"),
    (EMAIL | {"idempotency_key": ""}, "body.idempotency_key", "at least 1"),
    (EMAIL | {"idempotency_key": "x" * 201}, "body.idempotency_key", "at most 200"),
    *[(EMAIL | {"subject": f"a{sign}b"}, "body.subject", LINE) for sign in SIGNS],
    *[(EMAIL | {"to": f"anna@example.com{sign}"}, "body.to", LINE) for sign in SIGNS],
    *[(SMS | {"to": f"+14155550123{sign}"}, "body.to", NUMBER) for sign in SIGNS],
    *[(SMS | {"idempotency_key": f"a{sign}"}, "body.idempotency_key", LINE) for sign in SIGNS],
    (SMS | {"body": ""}, "body.body", "at least 1"),
    *[(fields | {"body": f"{MARK}{sign}"}, "body.body", CONTROL) for fields in (SMS, EMAIL) for sign in CONTROLS],
    (SMS | {"body": f"{MARK}\ud800"}, "body.body", "Input should be a valid string"),
    (SMS | {"body": "x" * (SMS_LENGTH + 1)}, "body.body", f"at most {SMS_LENGTH}"),
    (EMAIL | {"body": "x" * (EMAIL_LENGTH + 1)}, "body.body", f"at most {EMAIL_LENGTH}"),
]


@pytest.mark.parametrize(("content", "where", "what"), BAD)
def test_a_bad_submission_is_refused(api: Api, content: Any, where: str, what: str) -> None:
    """A problem document says where and what is wrong, repeats nothing, and nothing is kept."""
    if isinstance(content, dict) and content.get("body") == "hello":
        content = content | {"body": MARK}
    answer = api.client.post(
        "/v1/notifications", content=json.dumps(content), headers={"Content-Type": "application/json"}
    )

    assert (422, "application/problem+json") == (answer.status_code, answer.headers["Content-Type"])
    assert where in [one["where"] for one in answer.json()["problems"]]
    assert what in next(one["what"] for one in answer.json()["problems"] if one["where"] == where)
    assert MARK not in answer.text
    assert api.tokens[0] not in answer.text
    assert [] == api.rows()


def test_all_problems_come_at_once(api: Api) -> None:
    """Each bad field is a problem of its own."""
    answer = api.client.post("/v1/notifications", json={"channel": "sms", "body": "", "to": "", "extra": 1})

    assert ["body.body", "body.extra", "body.to"] == sorted(one["where"] for one in answer.json()["problems"])


NO_JSON: list[tuple[bytes, str, int]] = [
    (b"{", "application/json", 422),
    (b"", "application/json", 422),
    (b"do-not-repeat-me", "application/json", 422),
    (b'{"body": "\xff do-not-repeat-me"}', "application/json", 400),
    (b"[" * 100_000, "application/json", 400),
    (b'{"channel": ' + b"9" * 10_000 + b"}", "application/json", 400),
    (json.dumps(SMS | {"body": MARK}).encode(), "text/plain", 422),
    (json.dumps(SMS | {"body": MARK}).encode(), "application/x-www-form-urlencoded", 422),
    (json.dumps(SMS | {"body": MARK}).encode(), "", 422),
    (b"\x1f\x8b\x08\x00", "application/json", 400),
    *[(json.dumps(SMS | {"body": MARK}).encode(code), "application/json", 400) for code in ("utf-16", "utf-32")],
    (json.dumps(SMS | {"body": MARK}).encode("utf-8-sig"), "application/json", 422),
    *[(f'{{"a": {word}}}'.encode(), "application/json", 422) for word in ("NaN", "Infinity", "-Infinity")],
    *[(b'{"a": ' + b"[" * depth + b"]" * depth + b"}", "application/json", 422) for depth in (100, 800)],
    (b'{"a": ' + b"[" * 1_900 + b"]" * 1_900 + b"}", "application/json", 400),
    (b'{"a": ' + b"[" * 5_000 + b"]" * 5_000 + b"}", "application/json", 400),
    (b'{"a": ' * 5_000 + b"1" + b"}" * 5_000, "application/json", 400),
    (b'{"a": 1e999, "b": -0, "c": ' + b"9" * 4_000 + b"}", "application/json", 422),
    (b'{"a": 0.' + b"9" * 4_000 + b"}", "application/json", 422),
    (b'{"a": 0.' + b"9" * 10_000 + b"}", "application/json", 400),
    (b'{"\\ud800": 1, "channel": "sms"}', "application/json", 422),
    (b'{"\\u0000": 1, "channel": "sms"}', "application/json", 422),
    (b'{"channel": "sms\\u0000"}', "application/json", 422),
    (b'{"channel": "\\udfff"}', "application/json", 422),
    (b'{"channel": "sms\x00"}', "application/json", 422),
    (json.dumps(SMS).encode() + b"\x00", "application/json", 422),
    (json.dumps(SMS).encode() + b"{}", "application/json", 422),
]


@pytest.mark.parametrize(
    ("content", "kind", "status"), NO_JSON, ids=[str(number) for number in range(len(NO_JSON))]
)
def test_what_is_no_json_is_refused(api: Api, content: bytes, kind: str, status: int) -> None:
    """Broken JSON, other types and endless nesting are the client's mistake, told as a problem document."""
    answer = api.client.post("/v1/notifications", content=content, headers={"Content-Type": kind})

    assert (status, "application/problem+json") == (answer.status_code, answer.headers["Content-Type"])
    assert MARK not in answer.text
    assert [] == api.rows()


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_what_only_python_calls_json_is_refused(api: Api, word: str) -> None:
    """RFC 8259, section 6: there is no such number, so the whole body is none, wherever it stands."""
    content = f'{{"channel": "sms", "to": {word}, "body": "x"}}'
    answer = api.client.post("/v1/notifications", content=content, headers={"Content-Type": "application/json"})

    assert 422 == answer.status_code
    assert ["is not JSON"] == [one["what"] for one in answer.json()["problems"]]


@pytest.mark.parametrize(
    "content",
    [
        '{"channel": "sms", "to": "+14155550123", "body": "x", "to": "+14155550199"}',
        '{"channel": "sms", "channel": "sms", "to": "+14155550123", "body": "x"}',
        '{"channel": "sms", "to": "+14155550123", "body": "x", "\\u0074o": "+14155550199"}',
        '{"channel": "sms", "to": {"a": 1, "a": 2}, "body": "x"}',
    ],
)
def test_a_name_that_stands_twice_is_refused(api: Api, content: str) -> None:
    """Two readers would take two recipients, so none is taken, however the name is written."""
    answer = api.client.post("/v1/notifications", content=content, headers={"Content-Type": "application/json"})

    assert (400, "application/problem+json") == (answer.status_code, answer.headers["Content-Type"])
    assert [{"where": "body", "what": "the body has a name twice"}] == answer.json()["problems"]
    assert [] == api.rows()


def filled(before: bytes, part: bytes, after: bytes = b"") -> bytes:
    """Return a body of all the bytes that it may have."""
    return before + part * ((LARGEST_BODY - len(before) - len(after)) // len(part)) + after


COSTLY = {
    "numbers": filled(b"[", b"1,", b"1]"),
    "names": filled(b"{", b'"a":1,', b'"b":1}'),
    "other names": b"{" + b",".join(b'"k%d":1' % number for number in range(80_000)) + b"}",
    "names with escapes": filled(b"{", b'"\\\\":1,', b'"b":1}'),
    "empty strings": filled(b"[", b'"",', b'""]'),
    "arrays": filled(b"[", b"[],", b"[]]"),
    "objects": filled(b"[", b"{},", b"{}]"),
    "depth": filled(b"", b"["),
    "depth of objects": filled(b"", b'{"a":'),
    "one number": filled(b"[", b"9", b"]"),
    "a fraction": filled(b"[0.", b"9", b"]"),
    "an exponent": filled(b"[1e", b"9", b"]"),
    "blanks": filled(b"[", b" ", b"]"),
    "words": filled(b"[", b"true,", b"true]"),
    "after a notification": filled(json.dumps(SMS).encode()[:-1], b',"a":1', b"}"),
    "within one": filled(json.dumps(SMS).encode()[:-1] + b',"a":[', b"1,", b"1]}"),
    "behind a long text": filled(b'["' + b"x" * 500_000 + b'",', b"1,", b"1]"),
    "behind quotes in a text": filled(b'["' + b'\\"' * 100_000 + b'",', b"1,", b"1]"),
}


@pytest.mark.parametrize("shape", COSTLY)
def test_a_costly_shape_is_not_parsed(api: Api, monkeypatch: pytest.MonkeyPatch, shape: str) -> None:
    """One request holds up no other: much structure is refused in a few words, and nothing is made of it."""
    answer = too_large(api, COSTLY[shape])

    assert 400 == answer.status_code
    assert [{"where": "body", "what": "the body has more parts than a notification"}] == answer.json()["problems"]
    monkeypatch.setattr("app.parsing.json.loads", lambda *_, **__: pytest.fail("it was parsed"))
    with pytest.raises(Problem):
        parsing.loads(COSTLY[shape])


@pytest.mark.parametrize("letter", ["x", "ж", "🔑", "\n", "\\", '"', "\u2028"])
def test_the_longest_text_is_accepted_whatever_its_letters(api: Api, letter: str) -> None:
    """What bounds a body's structure does not count its text."""
    content = json.dumps(EMAIL | {"body": letter * EMAIL_LENGTH}, ensure_ascii=False, indent=4)
    answer = too_large(api, content.encode())

    assert 202 == answer.status_code
    assert [(letter * EMAIL_LENGTH,)] == api.rows("body")


def too_large(api: Api, content: Any) -> httpx.Response:
    return api.client.post("/v1/notifications", content=content, headers={"Content-Type": "application/json"})


def test_a_body_over_the_limit(api: Api) -> None:
    """A body that says that it is too large is refused with 413."""
    answer = too_large(api, b"x" * (LARGEST_BODY + 1))

    assert (413, "application/problem+json") == (answer.status_code, answer.headers["Content-Type"])
    assert f"the body is larger than {LARGEST_BODY} bytes" == answer.json()["title"]


def test_an_endless_body(api: Api) -> None:
    """A body without a length is refused with 413 as soon as it is too large."""

    def chunks() -> Iterator[bytes]:
        for _ in range(LARGEST_BODY // 1024 + 1):
            yield b"x" * 1024

    assert 413 == too_large(api, chunks()).status_code


def test_a_body_at_the_limit_is_read(api: Api) -> None:
    """The limit itself is allowed: what is wrong then is something else."""
    answer = too_large(api, json.dumps("x" * (LARGEST_BODY - 2)))

    assert 422 == answer.status_code


# Idempotency


def test_the_same_key_and_content_is_the_same_notification(api: Api) -> None:
    """A client that did not get our answer asks again, and nothing is sent twice."""
    key = secrets.token_hex(8)

    first, second = api.submit(idempotency_key=key), api.submit(idempotency_key=key)

    assert first == second
    assert [first["id"]] == api.nudges()


@pytest.mark.parametrize("other", [{"body": "other"}, {"to": "+14155550124"}, EMAIL])
def test_the_same_key_and_another_content_is_a_conflict(api: Api, other: dict[str, str]) -> None:
    """A key that is used twice by mistake is told, and the second one is not sent."""
    key = secrets.token_hex(8)
    api.submit(idempotency_key=key)

    answer = api.client.post("/v1/notifications", json=SMS | other | {"idempotency_key": key})

    assert (409, "application/problem+json") == (answer.status_code, answer.headers["Content-Type"])
    assert key not in answer.text
    assert 1 == len(api.rows())


def test_many_at_once_with_the_same_key(api: Api) -> None:
    """Of requests at the same moment one makes the row, all get its receipt."""
    key = secrets.token_hex(8)
    with ThreadPoolExecutor(8) as pool:
        receipts = list(pool.map(lambda _: api.submit(idempotency_key=key), range(16)))

    assert 1 == len({receipt["id"] for receipt in receipts}) == len(api.rows()) == len(api.nudges())


def by_another(api: Api, **fields: Any) -> httpx.Response:
    """Submit with the second token."""
    headers = {"Authorization": f"Bearer {api.tokens[1]}"}
    return api.client.post("/v1/notifications", json=SMS | fields, headers=headers)


@pytest.mark.parametrize("other", [{}, {"body": "other"}, EMAIL])
def test_a_key_belongs_to_its_client(api: Api, other: dict[str, str]) -> None:
    """Another token may use the same key: it learns nothing of the first one, and what it submits is sent."""
    key = secrets.token_hex(8)
    first = api.submit(idempotency_key=key)

    second = by_another(api, **other, idempotency_key=key)
    again = [api.submit(idempotency_key=key), by_another(api, **other, idempotency_key=key).json()]

    assert 202 == second.status_code
    assert first["id"] != second.json()["id"]
    assert [first, second.json()] == again
    assert 2 == len(api.rows()) == len(set(api.nudges()))


def test_a_conflict_is_of_one_client(api: Api) -> None:
    """A key with another content is a conflict for the client that used it, also when another has used it, too."""
    key = secrets.token_hex(8)
    api.submit(idempotency_key=key)
    by_another(api, idempotency_key=key, body="other")

    assert 409 == by_another(api, idempotency_key=key, body="third").status_code
    assert 409 == api.client.post(PATH, json=SMS | {"idempotency_key": key, "body": "other"}).status_code
    assert 2 == len(api.rows())


def test_a_key_of_the_release_before(api: Api) -> None:
    """It did not say whose a key is: the same content is the same notification, other content is another one."""
    key = secrets.token_hex(8)
    first = api.submit(idempotency_key=key)
    services.execute(api.environ, "UPDATE notifications SET client_key = NULL")

    assert first == api.submit(idempotency_key=key)
    assert first["id"] != by_another(api, idempotency_key=key, body="other").json()["id"]
    assert 2 == len(api.rows())


def test_the_release_before_knows_a_key(api: Api) -> None:
    """It looks for the key alone, and must find what this release accepted while both run."""
    api.submit(idempotency_key="order-17")

    assert [("order-17",)] == api.rows("idempotency_key")


def test_a_forgotten_key_of_a_client_may_be_used_again(api: Api) -> None:
    """Also when a worker of the release before, which does not know whose it is, emptied the row."""
    first = api.submit(idempotency_key="k")
    services.execute(
        api.environ, "UPDATE notifications SET status = 'sent', recipient = '', body = '', idempotency_key = NULL"
    )

    assert first["id"] != api.submit(idempotency_key="k")["id"]


def test_without_a_key_each_is_another(api: Api) -> None:
    """The same content twice without a key is meant twice."""
    assert 2 == len({api.submit()["id"], api.submit()["id"]})
