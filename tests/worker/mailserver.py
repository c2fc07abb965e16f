"""A mail server for tests: keeps what it is given, wants a password, and may speak TLS."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

from ci.ground import ports

AUTHORITY = trustme.CA()


@dataclass
class MailServer:
    """What the mail server was given; `answers` replaces its answer to a command."""

    username: str
    password: str
    port: int = 0
    messages: list[EmailMessage] = field(default_factory=list)
    logins: int = 0
    answers: dict[str, str] = field(default_factory=dict)

    def reset(self) -> None:
        """Forget everything."""
        self.messages.clear()
        self.answers.clear()
        self.logins = 0

    def authenticate(
        self, _server: Any, _session: Session, _envelope: Envelope, _how: str, given: Any
    ) -> AuthResult:
        """Let in who knows user name and password."""
        known = LoginPassword(self.username.encode(), self.password.encode())
        self.logins += 1
        return AuthResult(success=given == known, handled=False)

    async def handle_MAIL(  # noqa: N802, aiosmtpd's name
        self, _server: Any, session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take a sender, after a login."""
        if not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        return self.answers.get("MAIL", "250 OK")

    async def handle_RCPT(  # noqa: N802, aiosmtpd's name
        self, _server: Any, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take a recipient."""
        envelope.rcpt_tos.append(address)
        return self.answers.get("RCPT", "250 OK")

    async def handle_DATA(self, _server: Any, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep a message."""
        answer = self.answers.get("DATA", "250 OK")
        if answer.startswith("250"):
            assert isinstance(envelope.content, bytes)
            message = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(message, EmailMessage)
            self.messages.append(message)
        return answer

    async def handle_QUIT(self, _server: Any, _session: Session, _envelope: Envelope) -> str:  # noqa: N802
        """Say goodbye."""
        return self.answers.get("QUIT", "221 Bye")


@contextmanager
def mail_server(
    username: str, password: str, tls: str = "off", authority: trustme.CA = AUTHORITY
) -> Iterator[MailServer]:
    """Serve until the end of the block; `tls` is off, starttls or tls, with a certificate of the authority."""
    made = MailServer(username, password, ports.free())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    controller = Controller(
        made,
        hostname="127.0.0.1",
        port=made.port,
        ssl_context=context if tls == "tls" else None,
        tls_context=context if tls == "starttls" else None,
        require_starttls=tls == "starttls",
        authenticator=made.authenticate,
        auth_require_tls=False,
    )
    controller.start()
    try:
        yield made
    finally:
        controller.stop()
