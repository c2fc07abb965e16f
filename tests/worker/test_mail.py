import itertools
import secrets
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trustme

import runtime
from tests import services
from tests.worker.floods import MOST, answering
from tests.worker.mailserver import AUTHORITY, MailServer, mail_server
from worker.delivery import LEASE_TIMEOUTS
from worker.mail import Mail
from worker.outcome import FailedError, RefusedError, UnavailableError

ADDRESS = "anna@example.com"


def mail(server: MailServer, **more: str) -> Mail:
    """Return our end, with the server's user and password."""
    environ = services.environment("postgresql://u:p@127.0.0.1/d", "redis://127.0.0.1/0") | {
        "SMTP_PORT": str(server.port),
        "SMTP_USERNAME": server.username,
        "SMTP_PASSWORD": server.password,
    }
    return Mail(runtime.load("worker", environ | more))


def failure(server: MailServer, **more: str) -> FailedError:
    with pytest.raises(FailedError) as caught:
        mail(server, **more).send(ADDRESS, "news", "hello", "reference")
    return caught.value


@pytest.fixture
def login() -> tuple[str, str]:
    """A user and a password."""
    return "lockstep", secrets.token_urlsafe()


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The authority is one that this machine trusts."""
    AUTHORITY.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))


@pytest.mark.parametrize("tls", ["off", "starttls", "tls"])
def test_each_way_to_secure_it(login: tuple[str, str], trusted: None, tls: str) -> None:
    """The message arrives, after a login."""
    with mail_server(*login, tls=tls) as server:
        mail(server, SMTP_TLS=tls).send(ADDRESS, "news", "hello", "reference")

    assert (["news"], 1) == ([one["Subject"] for one in server.messages], server.logins)


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_certificate_of_nobody_we_know(login: tuple[str, str], trusted: None, tls: str) -> None:
    """The password is not told to a server that cannot say who it is; it is tried again later."""
    with mail_server(*login, tls=tls, authority=trustme.CA()) as server:
        error = failure(server, SMTP_TLS=tls)

    assert isinstance(error, UnavailableError)
    assert "mail server unreachable (SSLCertVerificationError)" == error.reason
    assert ([], 0) == (server.messages, server.logins)


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_server_without_tls(login: tuple[str, str], tls: str) -> None:
    """Where TLS is wanted, nothing is told without it."""
    with mail_server(*login) as server:
        error = failure(server, SMTP_TLS=tls)

    assert isinstance(error, UnavailableError)
    assert ([], 0) == (server.messages, server.logins)


def test_a_wrong_password(login: tuple[str, str]) -> None:
    """It may be in rotation: tried again, and not told."""
    with mail_server(*login) as server:
        error = failure(server, SMTP_PASSWORD=secrets.token_urlsafe())

    assert isinstance(error, UnavailableError)
    assert "mail server refuses us (535)" == error.reason


@pytest.mark.parametrize(
    ("command", "answer", "kind", "reason"),
    [
        ("RCPT", "550 5.1.1 No such user anna@example.com", RefusedError, "recipient refused (550)"),
        ("RCPT", "450 4.2.1 Greylisted", UnavailableError, "recipient refused (450)"),
        ("DATA", "554 5.7.1 Spam: hello", RefusedError, "content refused (554)"),
        ("DATA", "452 4.3.1 Full", UnavailableError, "content refused (452)"),
        ("MAIL", "550 5.7.1 Sender not allowed", UnavailableError, "mail server refuses us (550)"),
        ("MAIL", "421 4.3.2 Going down", UnavailableError, "mail server refuses us (421)"),
    ],
)
def test_what_the_server_refuses(
    login: tuple[str, str], command: str, answer: str, kind: type[FailedError], reason: str
) -> None:
    """What it says of the message for good is final, all else is tried again; its own words are not repeated."""
    with mail_server(*login) as server:
        server.answers[command] = answer
        error = failure(server)

    assert (kind, reason) == (type(error), error.reason)
    assert [] == server.messages


@pytest.mark.parametrize("answer", ["500 What?", "421 Too late"])
def test_a_server_that_stumbles_at_the_end(login: tuple[str, str], answer: str) -> None:
    """It took the message: to fail now would send it twice."""
    with mail_server(*login) as server:
        server.answers["QUIT"] = answer
        mail(server).send(ADDRESS, "news", "hello", "reference")

    assert 1 == len(server.messages)


def test_a_server_that_is_not_there(login: tuple[str, str]) -> None:
    """It may come back."""
    with mail_server(*login) as server:
        pass

    assert "mail server unreachable (ConnectionRefusedError)" == failure(server).reason


def test_a_server_that_is_silent(login: tuple[str, str]) -> None:
    """Nobody waits for longer than DELIVERY_TIMEOUT_SECONDS."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = MailServer(*login, silent.getsockname()[1])
        error = failure(server, DELIVERY_TIMEOUT_SECONDS="0.2")

    assert isinstance(error, UnavailableError)


@pytest.mark.parametrize("greeting", [b"554 Go away\r\n", b"x" * 10_000 + b"\r\n", b"\xff\r\n", b""])
def test_a_server_that_speaks_something_else(login: tuple[str, str], greeting: bytes) -> None:
    """Whatever greets us, it is no fault of the message."""
    with socket.create_server(("127.0.0.1", 0)) as strange:
        server = MailServer(*login, strange.getsockname()[1])
        with ThreadPoolExecutor() as pool:
            found = pool.submit(failure, server, DELIVERY_TIMEOUT_SECONDS="1")
            connection, _ = strange.accept()
            connection.sendall(greeting)
            connection.shutdown(socket.SHUT_WR)
            error = found.result()
            connection.close()

    assert isinstance(error, UnavailableError)


@pytest.mark.parametrize("line", [b"220-more follows\r\n" * 4_000, b"x" * 65_536])
def test_a_reply_without_end(login: tuple[str, str], line: bytes) -> None:
    """It is left after little of it, and tried again later."""
    with answering(itertools.repeat(line), asked=False) as flooding:
        error = failure(MailServer(*login, flooding.port), DELIVERY_TIMEOUT_SECONDS="2")

    assert isinstance(error, UnavailableError)
    assert flooding.sent < MOST / 2


def test_a_reply_without_end_later_on(login: tuple[str, str]) -> None:
    """What was read well before counts, too: all replies together have a size."""
    with answering(
        itertools.chain([b"220 hello\r\n"], itertools.repeat(b"250-X\r\n" * 8_000)), asked=False
    ) as late:
        error = failure(MailServer(*login, late.port), DELIVERY_TIMEOUT_SECONDS="2")

    assert isinstance(error, UnavailableError)
    assert late.sent < MOST / 2


def test_a_reply_that_drips(login: tuple[str, str]) -> None:
    """A byte now and then does not begin DELIVERY_TIMEOUT_SECONDS anew; the whole is over before the lease."""
    begun = time.monotonic()
    with answering(itertools.repeat(b"2"), pause=0.1, asked=False) as dripping:
        error = failure(MailServer(*login, dripping.port), DELIVERY_TIMEOUT_SECONDS="0.5")

    assert isinstance(error, UnavailableError)
    assert 0.5 < time.monotonic() - begun < 0.5 * LEASE_TIMEOUTS + 1


def test_tls_is_checked_by_name(login: tuple[str, str], trusted: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A good certificate of another host is none."""
    issue = trustme.CA.issue_cert
    monkeypatch.setattr(trustme.CA, "issue_cert", lambda self, _name: issue(self, "other.example"))
    with mail_server(*login, tls="tls") as server:
        error = failure(server, SMTP_TLS="tls")

    assert "mail server unreachable (SSLCertVerificationError)" == error.reason
    assert [] == server.messages


# Injection: the api refuses what follows in a header or an address; the worker does not rely on it


@pytest.mark.parametrize("sign", ["\n", "\r", "\r\n"])
@pytest.mark.parametrize("where", ["to", "subject"])
def test_a_line_end_makes_no_further_header(login: tuple[str, str], where: str, sign: str) -> None:
    """What would add a recipient is refused for good, and nothing is sent."""
    given = {"to": ADDRESS, "subject": "news"}
    given[where] += f"{sign}Bcc: eve@example.com"
    with mail_server(*login) as server:
        with pytest.raises(RefusedError):
            mail(server).send(given["to"], given["subject"], "hello", "reference")

        assert [] == server.messages


@pytest.mark.parametrize("end", ["\n.\n", "\r\n.\r\n", "\r.\r", "\n.\r\n", "\r.\n"])
def test_a_body_ends_no_message(login: tuple[str, str], end: str) -> None:
    """A line of one dot, whatever ends it, begins no second e-mail: it arrives as text."""
    second = f"MAIL FROM:<eve@example.com>{end}"
    with mail_server(*login) as server:
        mail(server).send(ADDRESS, "news", f"hello{end}{second}", "reference")

        [message] = server.messages
    assert ["hello", ".", "MAIL FROM:<eve@example.com>", "."] == message.get_content().splitlines()


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n"])
def test_a_body_adds_no_header(login: tuple[str, str], end: str) -> None:
    """Lines that look like headers stay below the empty line."""
    with mail_server(*login) as server:
        mail(server).send(ADDRESS, "news", f"Bcc: eve@example.com{end}hello", "reference")

        [message] = server.messages
    assert message["Bcc"] is None
    assert message.get_content().startswith("Bcc: eve@example.com")
