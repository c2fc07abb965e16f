"""E-mail through SMTP."""

import smtplib
import ssl
import time
from contextlib import suppress
from email import policy
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any

from runtime import Config
from worker.bounded import Replies
from worker.outcome import FailedError, RefusedError, UnavailableError

CONVERSATION_TIMEOUTS = 3  # all that the server says, which is less than a lease
PERMANENT = range(500, 600)  # RFC 5321, section 4.2.1


class _Bounded(smtplib.SMTP):
    """A conversation whose replies are read within a size and a time."""

    def __init__(self, host: str, port: int, name: str, timeout: float, **options: Any) -> None:
        self._end = time.monotonic() + CONVERSATION_TIMEOUTS * timeout
        super().__init__(host, port, name, timeout=timeout, **options)

    def getreply(self) -> tuple[int, bytes]:
        """Read one reply; smtplib makes a file of each socket at its first, and forgets it at STARTTLS."""
        if self.file is None and self.sock is not None:
            self.file = Replies(self.sock, self._end)
        return super().getreply()


class _BoundedSsl(_Bounded, smtplib.SMTP_SSL):
    """The same, in TLS from the start."""


class Mail:
    """The mail server of this configuration; one connection for each message, so that a bad one harms no other."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._domain = config.smtp_sender.partition("@")[2]
        self._context = ssl.create_default_context()

    def send(self, to: str, subject: str, body: str, reference: str) -> None:
        """Hand one e-mail over; RefusedError or UnavailableError. The reference makes its Message-ID."""
        try:
            server = self._connected()
            try:
                # Not send_message: it makes `>From` of a line that begins with `From`.
                message = self._message(to, subject, body, reference).as_bytes(policy=policy.SMTP)
                server.sendmail(self._config.smtp_sender, to, message)
            finally:
                _leave(server)
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            raise _failure("recipient refused", codes[0]) from None
        except smtplib.SMTPDataError as error:
            raise _failure("content refused", error.smtp_code) from None
        except smtplib.SMTPResponseException as error:  # us it refuses, not this message: that can be mended
            raise UnavailableError(f"mail server refuses us ({error.smtp_code})") from None
        except (OSError, smtplib.SMTPException) as error:
            raise UnavailableError(f"mail server unreachable ({type(error).__name__})") from None
        except ValueError:  # a line end in a header or an address: email and smtplib write neither
            raise RefusedError("it cannot be written as an e-mail") from None

    def _connected(self) -> smtplib.SMTP:
        config = self._config
        server = self._greeted()
        try:
            if config.smtp_tls == "starttls":
                server.starttls(context=self._context)
            server.login(config.smtp_username, config.smtp_password.reveal())
        except BaseException:
            server.close()
            raise
        return server

    def _greeted(self) -> smtplib.SMTP:
        config = self._config
        host, port, timeout = config.smtp_host, config.smtp_port, config.delivery_timeout_seconds
        name = self._domain  # else smtplib would ask DNS, without a timeout, who we are
        if config.smtp_tls == "tls":
            return _BoundedSsl(host, port, name, timeout=timeout, context=self._context)
        return _Bounded(host, port, name, timeout=timeout)

    def _message(self, to: str, subject: str, body: str, reference: str) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._config.smtp_sender
        message["To"] = to
        message["Subject"] = subject
        message["Date"] = formatdate()
        message["Message-ID"] = f"<{reference}@{self._domain}>"
        message.set_content(body)
        return message


def _leave(server: smtplib.SMTP) -> None:
    """Say goodbye; a server that took the message and then stumbles took it all the same."""
    with suppress(OSError, smtplib.SMTPException):
        server.quit()
    server.close()


def _failure(what: str, code: int) -> FailedError:
    kind = RefusedError if code in PERMANENT else UnavailableError
    return kind(f"{what} ({code})")
