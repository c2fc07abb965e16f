import hashlib
import json
import re
import secrets
import smtplib
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from pathlib import Path

import httpx
import psutil
import pytest

from ci.delivery.engines.sandbox.__main__ import listen
from ci.delivery.engines.sandbox.inbox import KEPT, LONGEST, SMS, Inbox
from ci.delivery.engines.sandbox.smtp import LARGEST
from ci.ground import errors, ports
from tests import sandboxes
from tests.sandboxes import Sandbox

GOOD = {"to": "+14155550123", "from": "Lockstep", "body": "hello"}


@pytest.fixture(autouse=True)
def _no_faults(sandbox: Sandbox) -> Iterator[None]:
    """What one test asked for does not go wrong in the next."""
    yield
    with sandbox.client() as client:
        client.post("/v1/faults", json={"count": 0}).raise_for_status()


@pytest.fixture
def reference() -> str:
    return secrets.token_hex(8)


# Sending


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


def test_an_answer_waits_for_no_acknowledgement() -> None:
    """What is written goes at once, not when the other side's system acknowledges what went before."""
    with listen(port := ports.free()) as listener, socket.create_connection(("127.0.0.1", port)):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


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


# Keys


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/messages"),
        ("POST", "/v1/messages"),
        ("GET", "/v1/keys"),
        ("POST", "/v1/keys"),
        ("DELETE", "/v1/keys/SK1"),
        ("POST", "/v1/faults"),
    ],
)
def test_without_a_valid_key(sandbox: Sandbox, method: str, path: str) -> None:
    """Nothing below /v1 is open: not without a key, with an unknown one, or with a wrong secret."""
    name, _, secret = sandbox.key.partition(":")
    wrong = [None, ("SKunknown", secret), (name, "wrong"), (name, ""), (name, "é")]
    document = {"count": 0} if path == "/v1/faults" else GOOD

    answers = [httpx.request(method, f"{sandbox.url}{path}", auth=auth, json=document) for auth in wrong]

    assert [401] * len(wrong) == [answer.status_code for answer in answers]
    assert answers[0].json() == {"error": "no valid api key"}


def test_a_new_key_works(sandbox: Sandbox, reference: str) -> None:
    """A key that was made can do what the first can, and its secret is told once."""
    with sandbox.client() as client:
        made = client.post("/v1/keys")
        listed = client.get("/v1/keys")
    with sandbox.client(f"{made.json()['id']}:{made.json()['secret']}") as client:
        answer = client.post("/v1/messages", json=GOOD, headers={"Idempotency-Key": reference})

    assert made.status_code == answer.status_code == 201
    assert re.fullmatch(r"[A-Za-z0-9]+:[A-Za-z0-9_-]{16,}", f"{made.json()['id']}:{made.json()['secret']}")
    assert {"id", "name", "created", "revoked"} == set(listed.json()["keys"][-1])
    assert made.json()["secret"] not in listed.text


def test_a_revoked_key_is_refused(sandbox: Sandbox) -> None:
    """Revoking takes effect at once, and once more changes nothing."""
    with sandbox.client() as client:
        made = client.post("/v1/keys").json()
        answers = [client.delete(f"/v1/keys/{made['id']}").status_code for _ in range(2)]
        [listed] = [one for one in client.get("/v1/keys").json()["keys"] if one["id"] == made["id"]]
    with sandbox.client(f"{made['id']}:{made['secret']}") as client:
        refused = client.get("/v1/messages")

    assert answers == [204, 204]
    assert listed["revoked"] >= listed["created"]
    assert refused.status_code == 401


def test_a_key_that_is_not_there(sandbox: Sandbox) -> None:
    """Revoking what was never made is an error."""
    with sandbox.client() as client:
        answer = client.delete("/v1/keys/SKnone")

    assert (answer.status_code, answer.json()) == (404, {"error": "no such key"})


def test_the_last_key_stays(tmp_path: Path) -> None:
    """Without a valid key nobody could make one, so the last is not revoked, whatever was revoked before."""
    with sandboxes.running(tmp_path) as sandbox, sandbox.client() as client:
        made = client.post("/v1/keys").json()
        client.delete(f"/v1/keys/{made['id']}").raise_for_status()
        answer = client.delete(f"/v1/keys/{sandbox.key.partition(':')[0]}")

        assert answer.status_code == 409
        assert client.get("/v1/keys").status_code == 200


def test_keys_survive_a_restart(tmp_path: Path) -> None:
    """A key that was made is valid after a restart, and the first one, once revoked, does not come back."""
    with sandboxes.running(tmp_path) as sandbox, sandbox.client() as client:
        first, made = sandbox.key, client.post("/v1/keys").json()
        client.delete(f"/v1/keys/{first.partition(':')[0]}").raise_for_status()

    with sandboxes.running(tmp_path, key=first) as sandbox:
        with sandbox.client(first) as client:
            refused = client.get("/v1/keys")
        with sandbox.client(f"{made['id']}:{made['secret']}") as client:
            admitted = client.get("/v1/keys")

    assert (refused.status_code, admitted.status_code) == (401, 200)
    assert f"key {first.partition(':')[0]} of the environment was revoked" in sandbox.log.read_text()


def test_the_file_of_keys(sandbox: Sandbox) -> None:
    """The file can be read by its owner alone and holds hashes, no secret."""
    name, _, secret = sandbox.key.partition(":")
    kept = {one["id"]: one["sha256"] for one in json.loads(sandbox.state.read_bytes())["keys"]}

    assert sandbox.state.stat().st_mode & 0o777 == 0o600
    assert kept[name] == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in sandbox.state.read_text()


# Faults


def test_faults_end(sandbox: Sandbox, reference: str) -> None:
    """So many sends fail as were asked for, and a failed one was not sent."""
    with sandbox.client() as client:
        asked = client.post("/v1/faults", json={"status": 500, "count": 2})
    codes = [sandbox.sms("hello", reference).status_code for _ in range(3)]

    assert asked.status_code == 204
    assert codes == [500, 500, 201]
    assert len(sandbox.inbox(reference)) == 1


def test_rate_limit(sandbox: Sandbox) -> None:
    """A 429 says when to try again."""
    with sandbox.client() as client:
        client.post("/v1/faults", json={"status": 429})
    answer = sandbox.sms()

    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")


def test_delay_then_retry(sandbox: Sandbox, reference: str) -> None:
    """A sender that gave up waiting and tries again with the same key has sent once."""
    with sandbox.client() as client:
        client.post("/v1/faults", json={"delay": 1})
    with pytest.raises(httpx.ReadTimeout):
        sandbox.sms("hello", reference, timeout=0.2)
    deadline = time.monotonic() + 30
    while not sandbox.inbox(reference) and time.monotonic() < deadline:
        time.sleep(0.05)
    answer = sandbox.sms("hello", reference)

    assert answer.headers["Idempotent-Replayed"] == "true"
    assert len(sandbox.inbox(reference)) == 1


@pytest.mark.parametrize("fault", [{"status": 200}, {"delay": -1}, {"count": -1}, {"fail": True}])
def test_bad_faults(sandbox: Sandbox, fault: dict[str, object]) -> None:
    """What is no fault is answered 422."""
    with sandbox.client() as client:
        assert client.post("/v1/faults", json=fault).status_code == 422


# Mail


def test_mail_arrives(sandbox: Sandbox, reference: str) -> None:
    """An e-mail shows up in the inbox under its Message-ID, decoded, for all its recipients."""
    sandbox.mail("Grüße\n\nvon hier", reference, "Ihre Rechnung: €48", ["ada@example.com", "bob@example.com"])

    [arrived] = sandbox.inbox(reference)
    assert arrived == {
        "id": arrived["id"],
        "channel": "email",
        "to": "ada@example.com, bob@example.com",
        "from": sandboxes.SENDER,
        "subject": "Ihre Rechnung: €48",
        "body": "Grüße\n\nvon hier",
        "reference": reference,
        "received_at": arrived["received_at"],
    }


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_mail_password(sandbox: Sandbox, mechanism: str) -> None:
    """Both ways to log in take the right password and refuse others."""
    with smtplib.SMTP("127.0.0.1", sandbox.smtp_port) as session:
        session.ehlo()
        way = session.auth_plain if mechanism == "PLAIN" else session.auth_login
        session.user, session.password = sandbox.username, sandbox.password + "x"
        with pytest.raises(smtplib.SMTPAuthenticationError, match="535"):
            session.auth(mechanism, way)
        session.password = sandbox.password

        assert session.auth(mechanism, way)[0] == 235


def test_mail_without_login(sandbox: Sandbox) -> None:
    """Nobody sends without logging in."""
    with smtplib.SMTP("127.0.0.1", sandbox.smtp_port) as session:
        session.ehlo()

        assert session.mail(sandboxes.SENDER)[0] == 530


def test_mail_of_html(sandbox: Sandbox, reference: str) -> None:
    """An e-mail that is HTML alone is shown as it is written, one with both as plain text."""
    message = EmailMessage()
    message["Message-ID"] = f"<{reference}@x>"
    message.set_content("<b>hello</b>", subtype="html")
    sandbox.raw_mail(message.as_bytes())
    message.clear_content()
    message.set_content("hello")
    message.add_alternative("<b>hello</b>", subtype="html")
    sandbox.raw_mail(message.as_bytes())

    assert [one["body"] for one in sandbox.inbox(reference)] == ["hello", "<b>hello</b>"]


@pytest.mark.parametrize(
    "content",
    [
        b"Message-ID: <%s@x>\r\nSubject: \xff\xfe\xed\xa0\x80\r\nFrom: \x80@\r\n\r\n\xff\xfe",
        b"Message-ID: <%s@x>\r\nContent-Type: text/plain; charset=none-such\r\n\r\nhello",
        b"Message-ID: <%s@x>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\nno part",
        b"Message-ID: <%s@x>\r\nContent-Type: application/pdf\r\nSubject: =?utf-8?b?7aCA?=\r\n\r\nhello",
    ],
    ids=["no unicode", "charset", "no parts", "no text"],
)
def test_mail_that_is_broken(sandbox: Sandbox, reference: str, content: bytes) -> None:
    """Whatever comes as an e-mail, it is taken, and the inbox can be read."""
    sandbox.raw_mail(content % reference.encode())

    assert len(sandbox.inbox(reference)) == 1
    assert sandbox.get("/").status_code == 200


def test_mail_that_is_too_large(sandbox: Sandbox, reference: str) -> None:
    """A message beyond the limit is refused."""
    with pytest.raises(smtplib.SMTPSenderRefused, match="552"):
        sandbox.mail("hello hello\n" * (LARGEST // 8), reference)

    assert not sandbox.inbox(reference)


# The inbox


def test_inbox_is_bounded() -> None:
    """The oldest messages make room, and a body has a longest length."""
    inbox = Inbox()
    for number in range(KEPT + 1):
        inbox.add(SMS, to="", sender="", body="x" * (LONGEST + 1), reference=str(number))

    assert len(inbox.messages()) == KEPT
    assert (inbox.sms("0"), inbox.messages()[0].reference) == (None, str(KEPT))
    assert len(inbox.messages()[0].body) == LONGEST


def test_markup_is_shown_as_text(sandbox: Sandbox, reference: str) -> None:
    """No part of a message becomes markup of the page."""
    attack = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
    sandbox.sms(attack, f"{reference}{attack}")
    sandbox.mail(attack, reference, attack, ["ada@example.com"])
    sandbox.raw_mail(f"From: {attack} <x@y>\r\nMessage-ID: <{attack}@x>\r\n\r\n{attack}".encode())

    for path in ("/", "/inbox.html"):
        page = sandbox.get(path).text

        assert "&lt;script&gt;alert(1)" in page
        assert "<script>alert" not in page
        assert "<img" not in page


def test_page_runs_nothing_but_its_own(sandbox: Sandbox) -> None:
    """The policy names a nonce of this one answer, and there is nothing from elsewhere."""
    first, second = sandbox.get("/"), sandbox.get("/")
    [nonce] = set(re.findall(r'nonce="([^"]+)"', first.text))
    policy = first.headers["Content-Security-Policy"]

    assert policy.startswith(f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; ")
    assert "unsafe" not in policy
    assert nonce not in second.text
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//|url\(|@import""", first.text)


def test_page_without_messages(tmp_path: Path) -> None:
    """An empty inbox says what to do."""
    with sandboxes.running(tmp_path) as sandbox:
        page = sandbox.get("/").text

    assert '<ol id="messages"></ol>' in page
    assert "inv deploy --env=local" in page


def test_page_is_told_when_nothing_changed(sandbox: Sandbox) -> None:
    """The page asks with what it has, and gets the messages only when there are others."""
    tag = sandbox.get("/inbox.html").headers["ETag"]
    same = sandbox.get("/inbox.html", **{"If-None-Match": tag})
    sandbox.sms("something new")
    changed = sandbox.get("/inbox.html", **{"If-None-Match": tag})

    assert (same.status_code, same.text) == (304, "")
    assert (changed.status_code, "something new" in changed.text) == (200, True)


def test_other_names_of_this_machine(sandbox: Sandbox) -> None:
    """A website that makes its own name point here gets no answer: only loopback's names do."""
    port = sandbox.url.rpartition(":")[2]

    codes = [
        sandbox.get("/inbox.json", Host=f"{host}:{port}").status_code for host in ("evil.example", "localhost")
    ]

    assert codes == [400, 200]


# The process


def test_secrets_and_messages_stay_in_memory(sandbox: Sandbox, reference: str) -> None:
    """No secret is in argv, the environment or a log, and no message, address or body in a log."""
    sandbox.sms("canary-sms", reference)
    sandbox.mail("canary-mail", reference, "canary-subject", ["canary-to@example.com"])
    process = psutil.Process(sandbox.child.pid)
    hidden = [sandbox.key.partition(":")[2], sandbox.password, "canary", "+14155550123"]
    seen = [sandbox.log.read_text(), *process.cmdline(), *process.environ().values()]

    assert "delivered" in seen[0]
    assert not [text for text in seen if any(one in text for one in hidden)]


def test_sigterm_in_the_middle(tmp_path: Path) -> None:
    """SIGTERM ends it cleanly, with a mail session open and a send that waits."""
    with (
        sandboxes.running(tmp_path) as sandbox,
        smtplib.SMTP("127.0.0.1", sandbox.smtp_port) as session,
        ThreadPoolExecutor(1) as pool,
    ):
        session.login(sandbox.username, sandbox.password)
        with sandbox.client() as client:
            client.post("/v1/faults", json={"delay": 600})
            sent = pool.submit(sandbox.sms)
            while len(psutil.Process(sandbox.child.pid).net_connections()) < 5:
                time.sleep(0.01)
        sandbox.child.terminate()

        assert sandbox.child.wait(60) == 0
        assert sent.result().status_code == 503
    assert "Traceback" not in sandbox.log.read_text()


def test_descriptor(tmp_path: Path) -> None:
    """A listening socket can be handed over, so that no request is refused while a sandbox starts."""
    given = {"SMS_PROVIDER_API_KEY": "SK1:secret", "SMTP_USERNAME": "x", "SMTP_PASSWORD": "y"}
    smtp_port = str(ports.free())

    with socket.create_server(("127.0.0.1", 0)) as listener:
        descriptor = listener.fileno()
        options = ("--port", "1", "--smtp-port", smtp_port, "--fd", str(descriptor))
        child = sandboxes.spawn(tmp_path, given, *options, pass_fds=[descriptor])
        port = listener.getsockname()[1]
        answer = httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=60)
    child.terminate()
    child.wait(60)

    assert answer.json() == {"status": "ready"}


@pytest.mark.parametrize(
    "given",
    [
        [],
        {"SMS_PROVIDER_API_KEY": "canary:canary"},
        {"SMS_PROVIDER_API_KEY": "canary", "SMTP_USERNAME": "x", "SMTP_PASSWORD": "canary"},
        {"SMS_PROVIDER_API_KEY": "canary:x", "SMTP_USERNAME": "x", "SMTP_PASSWORD": 1},
    ],
)
def test_input_that_is_not_whole(tmp_path: Path, given: object) -> None:
    """Without all it needs on stdin it does not start, and says what it needs, not what it got."""
    words = ("--port", str(ports.free()), "--smtp-port", str(ports.free()))

    child = sandboxes.spawn(tmp_path, given, *words)

    assert child.wait(60) == errors.ConfigurationError.code
    assert "SMTP_PASSWORD" in (tmp_path / "log").read_text()
    assert "canary" not in (tmp_path / "log").read_text()


def test_damaged_file_of_keys(tmp_path: Path) -> None:
    """A file of keys that cannot be read is an error with a way out, and stays as it is."""
    (tmp_path / "state.json").write_text('{"keys": [')
    given = {"SMS_PROVIDER_API_KEY": "SK1:secret", "SMTP_USERNAME": "x", "SMTP_PASSWORD": "y"}

    child = sandboxes.spawn(tmp_path, given, "--port", "1", "--smtp-port", "1")

    assert child.wait(60) == errors.ConfigurationError.code
    assert "state.json is damaged" in (tmp_path / "log").read_text()
    assert (tmp_path / "state.json").read_text() == '{"keys": ['


def test_port_in_use(sandbox: Sandbox, tmp_path: Path) -> None:
    """A port that is taken is named."""
    given = {"SMS_PROVIDER_API_KEY": "SK1:secret", "SMTP_USERNAME": "x", "SMTP_PASSWORD": "y"}

    child = sandboxes.spawn(tmp_path, given, "--port", "0", "--smtp-port", str(sandbox.smtp_port))

    assert child.wait(60) == errors.PortInUseError.code
    assert f"port {sandbox.smtp_port} cannot be had" in (tmp_path / "log").read_text()
