"""E-mail through SMTP."""

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate

from config import Config
from worker.outcome import RefusedError, UnavailableError

PERMANENT = range(500, 600)  # RFC 5321, section 4.2.1


class Mail:
    """The mail server of this configuration; one connection for each message, so that a bad one harms no other."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._domain = config.smtp_sender.partition("@")[2]

    def send(self, to: str, subject: str, body: str, reference: str) -> None:
        """Hand one e-mail over; RefusedError or UnavailableError. The reference makes its Message-ID."""
        try:
            with self._connected() as server:
                server.send_message(self._message(to, subject, body, reference))
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            raise _failure("recipient refused", codes[0]) from None
        except smtplib.SMTPAuthenticationError:
            raise UnavailableError("mail server refuses our password") from None
        except smtplib.SMTPResponseException as error:
            raise _failure("refused by the mail server", error.smtp_code) from None
        except (OSError, smtplib.SMTPException) as error:
            raise UnavailableError(f"mail server unreachable ({type(error).__name__})") from None

    def _connected(self) -> smtplib.SMTP:
        config = self._config
        context = ssl.create_default_context()
        host, port, timeout = config.smtp_host, config.smtp_port, config.delivery_timeout_seconds
        if config.smtp_tls == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=timeout, context=context)
        else:
            server = smtplib.SMTP(host, port, timeout=timeout)
        try:
            if config.smtp_tls == "starttls":
                server.starttls(context=context)
            server.login(config.smtp_username, config.smtp_password.reveal())
        except BaseException:
            server.close()
            raise
        return server

    def _message(self, to: str, subject: str, body: str, reference: str) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._config.smtp_sender
        message["To"] = to
        message["Subject"] = subject
        message["Date"] = formatdate()
        message["Message-ID"] = f"<{reference}@{self._domain}>"
        message.set_content(body)
        return message


def _failure(what: str, code: int) -> RefusedError | UnavailableError:
    kind = RefusedError if code in PERMANENT else UnavailableError
    return kind(f"{what} ({code})")
