"""The mail side of the sandbox: it takes e-mail for everybody, from whoever knows the password."""

import hmac
import logging
import warnings
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from sandbox.inbox import EMAIL, Inbox

LARGEST = 1024 * 1024  # bytes of a message
log = logging.getLogger("sandbox")


class Sink:
    """What aiosmtpd asks when somebody logs in and when a message came."""

    def __init__(self, inbox: Inbox, username: str, password: str) -> None:
        self._inbox = inbox
        self._known = LoginPassword(username.encode(), password.encode())

    def protocol(self) -> SMTP:
        """Return the protocol of one connection."""
        with warnings.catch_warnings():  # of a password without TLS, which at loopback nobody else can hear
            warnings.filterwarnings("ignore", "Requiring AUTH while not requiring TLS", UserWarning)
            return SMTP(
                self,
                authenticator=self.authenticate,
                auth_required=True,
                auth_require_tls=False,
                data_size_limit=LARGEST,
                enable_SMTPUTF8=True,
                hostname="localhost",
            )

    def authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, given: object
    ) -> AuthResult:
        """Let in who knows user name and password."""
        known = isinstance(given, LoginPassword) and all(
            hmac.compare_digest(ours, theirs) for ours, theirs in zip(self._known, given, strict=True)
        )
        return AuthResult(success=known, handled=False)

    async def handle_DATA(  # noqa: N802, aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Take a message into the inbox."""
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        message = message_from_bytes(content, policy=policy.default)
        taken = self._inbox.add(
            EMAIL,
            to=", ".join(envelope.rcpt_tos),
            sender=header(message, "From") or str(envelope.mail_from),
            subject=header(message, "Subject"),
            body=text(message),
            reference=header(message, "Message-ID").strip(" <>").partition("@")[0],
        )
        log.info("e-mail %s accepted", taken.id)
        return f"250 accepted as {taken.id}"


def header(message: EmailMessage, name: str) -> str:
    """Return a header's text, empty if there is none to read; what is no Unicode becomes a question mark."""
    try:
        return str(message[name] or "").encode(errors="replace").decode()
    except Exception:  # noqa: BLE001, to `From: \x80@` and its like email.policy says IndexError, TypeError and more
        return ""


def text(message: EmailMessage) -> str:
    """Return what there is to read in a message: its plain text, else its HTML as it is written."""
    part = message.get_body(("plain", "html"))
    if part is None:
        return ""
    payload = part.get_payload(decode=True)
    charset = part.get_content_charset("utf-8")
    raw = payload if isinstance(payload, bytes) else b""
    try:
        return raw.decode(charset, "replace").replace("\r\n", "\n").strip("\n")
    except LookupError:  # a charset that nobody knows
        return raw.decode("utf-8", "replace").replace("\r\n", "\n").strip("\n")
