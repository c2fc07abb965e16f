"""Twilio, through its official library. It has no idempotency key: a try whose answer is lost may arrive twice."""

from typing import Any
from urllib.parse import urlsplit

from requests.exceptions import RequestException
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from config import Config
from worker import outcome


class AddressedHttpClient(TwilioHttpClient):  # type: ignore[misc]
    """Twilio's HTTP client, which sends every request to SMS_PROVIDER_URL: a proxy, or a server in a test."""

    def __init__(self, address: str, timeout: float) -> None:
        super().__init__(timeout=timeout)
        self._base = urlsplit(address)

    def request(self, method: str, url: str, *arguments: Any, **options: Any) -> Response:
        """Send the request to the same path at our address."""
        moved = urlsplit(url)._replace(scheme=self._base.scheme, netloc=self._base.netloc)
        return super().request(method, moved.geturl(), *arguments, **options)


class Twilio:
    """The Messages resource of one account."""

    def __init__(self, config: Config) -> None:
        identifier, _, secret = config.sms_provider_api_key.reveal().partition(":")
        self._sender = config.sms_sender
        self._client = Client(
            username=identifier,
            password=secret,
            account_sid=config.sms_provider_account,
            http_client=AddressedHttpClient(config.sms_provider_url, config.delivery_timeout_seconds),
            environment={},  # TWILIO_* of the shell must not choose where this goes
        )

    def send(self, to: str, body: str, reference: str) -> None:  # noqa: ARG002, Twilio has no use for it
        """Hand one SMS over."""
        try:
            self._client.messages.create(to=to, from_=self._sender, body=body)
        except TwilioRestException as error:
            raise outcome.of_status(error.status) from None
        except (RequestException, TwilioException) as error:
            raise outcome.UnavailableError(f"provider unreachable ({type(error).__name__})") from None


def make(config: Config) -> Twilio:
    """Return the provider."""
    return Twilio(config)
