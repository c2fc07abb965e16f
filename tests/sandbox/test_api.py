from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.sandboxes import GOOD, Sandbox


def test_sms_arrives(sandbox: Sandbox, reference: str) -> None:
    """An SMS is answered with its id, and shows up in the inbox under its Idempotency-Key."""
    answer = sandbox.sms("your code is 1", reference)

    [arrived] = sandbox.inbox(reference)
    assert answer.status_code == 201
    assert answer.json() == {**GOOD, "body": "your code is 1"} | {
        "id": arrived["id"],
        "status": "delivered",
        "created_at": arrived["received_at"],
    }
    assert arrived == {
        "id": answer.json()["id"],
        "channel": "sms",
        "to": "+14155550123",
        "from": "Lockstep",
        "subject": "",
        "body": "your code is 1",
        "reference": reference,
        "received_at": arrived["received_at"],
    }


def test_sms_are_listed_newest_first(sandbox: Sandbox) -> None:
    """The provider lists what it sent."""
    sent = [sandbox.sms(body).json() for body in ("first", "second")]

    with sandbox.client() as client:
        listed = client.get("/v1/messages").json()["messages"]

    assert list(reversed(sent)) == listed[:2]


def test_same_idempotency_key_sends_once(sandbox: Sandbox, reference: str) -> None:
    """A second request with the same key gets the first one's answer and sends nothing."""
    first, second = sandbox.sms("first", reference), sandbox.sms("second", reference)

    assert first.json() == second.json()
    assert (first.status_code, second.status_code) == (201, 201)
    assert [("Idempotent-Replayed" in one.headers) for one in (first, second)] == [False, True]
    assert [one["body"] for one in sandbox.inbox(reference)] == ["first"]


def test_same_idempotency_key_at_the_same_time(sandbox: Sandbox, reference: str) -> None:
    """Of requests with the same key that come while the first waits, only one sends."""
    with sandbox.client() as client:
        client.post("/v1/faults", json={"delay": 0.2, "count": 4})
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: sandbox.sms("hello", reference).json()["id"], range(4)))

    assert len(set(answers)) == 1
    assert len(sandbox.inbox(reference)) == 1


def test_without_idempotency_key_each_request_sends(sandbox: Sandbox) -> None:
    """Two requests without a key are two SMS."""
    first, second = sandbox.sms().json(), sandbox.sms().json()

    assert first["id"] != second["id"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"to": "canary"}, "to"),
        ({"to": "+0123456789"}, "to"),
        ({"from": ""}, "from"),
        ({"from": "canary is too long"}, "from"),
        ({"body": ""}, "body"),
        ({"body": "canary" * 300}, "body"),
        ({"body": None}, "body"),
        ({"canary": "1"}, "canary"),
    ],
)
def test_bad_input(sandbox: Sandbox, change: dict[str, str], named: str) -> None:
    """What is no SMS is answered 422 with the name of what is wrong, and is not sent."""
    before = len(sandbox.inbox())

    with sandbox.client() as client:
        answer = client.post("/v1/messages", json=GOOD | change)

    assert answer.status_code == 422
    assert answer.json()["error"].startswith(f"{named}: ")
    assert len(sandbox.inbox()) == before


def test_bad_input_is_not_repeated(sandbox: Sandbox) -> None:
    """The answer to bad input does not hold it."""
    with sandbox.client() as client:
        answers = [
            client.post("/v1/messages", json=GOOD | {"to": "canary"}),
            client.post("/v1/messages", content=b"canary"),
        ]

    assert [422, 422] == [answer.status_code for answer in answers]
    assert not [answer.text for answer in answers if "canary" in answer.text]


def test_other_names_of_this_machine(sandbox: Sandbox) -> None:
    """A website that makes its own name point here gets no answer: only loopback's names do."""
    port = sandbox.url.rpartition(":")[2]

    codes = [
        sandbox.get("/inbox.json", Host=f"{host}:{port}").status_code for host in ("evil.example", "localhost")
    ]

    assert codes == [400, 200]
