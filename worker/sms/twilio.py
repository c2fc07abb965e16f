"""Twilio, through its official library. It has no idempotency key: a try whose answer is lost may arrive twice."""

import io
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client
from urllib3.exceptions import HTTPError

from runtime import Config
from worker import bounded, outcome


class BoundedAdapter(HTTPAdapter):
    """Reads an answer within a size, unpacked, and a time; requests itself reads until the other side ends it."""

    def __init__(self, seconds: float, connections: int) -> None:
        super().__init__(pool_maxsize=connections)
        self._seconds = seconds

    def send(self, *arguments: Any, **options: Any) -> requests.Response:
        """Return the answer with its body in memory, or raise RequestException."""
        answer = super().send(*arguments, **options | {"stream": True})
        chunks = iter(lambda: answer.raw.read1(4096, decode_content=True), b"")
        try:
            body = bounded.whole(chunks, self._seconds)
            if body is None:
                raise RequestException("no end")
        except (HTTPError, OSError) as error:  # RequestException is an OSError
            answer.close()
            raise RequestException("broken off") from error
        answer.raw = io.BytesIO(body)
        return answer


class AddressedHttpClient(TwilioHttpClient):  # type: ignore[misc]
    """Twilio's HTTP client, which sends every request to SMS_PROVIDER_URL: a proxy, or a server in a test."""

    def __init__(self, address: str, timeout: float, connections: int) -> None:
        super().__init__(timeout=timeout)
        for scheme in ("https://", "http://"):
            self.session.mount(scheme, BoundedAdapter(timeout, connections))
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
            http_client=AddressedHttpClient(
                config.sms_provider_url, config.delivery_timeout_seconds, config.worker_concurrency
            ),
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
