import smtplib
from email.message import EmailMessage

import pytest

from sandbox.smtp import LARGEST
from tests import sandboxes
from tests.sandboxes import Sandbox


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
