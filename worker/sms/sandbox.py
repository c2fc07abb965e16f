"""The sandbox that `inv deploy` starts for `local`: a provider that keeps what it is given."""

import httpx

from runtime import Config
from worker import bounded, outcome


class Sandbox:
    """Its HTTP API, with one pool of connections for all threads."""

    def __init__(self, config: Config) -> None:
        identifier, _, secret = config.sms_provider_api_key.reveal().partition(":")
        self._sender = config.sms_sender
        self._timeout = config.delivery_timeout_seconds
        self._client = httpx.Client(
            base_url=config.sms_provider_url,
            auth=(identifier, secret),
            timeout=self._timeout,
            limits=httpx.Limits(max_connections=config.worker_concurrency),
        )

    def send(self, to: str, body: str, reference: str) -> None:
        """Hand one SMS over; the reference is its idempotency key."""
        try:
            with self._client.stream(
                "POST",
                "/v1/messages",
                json={"to": to, "from": self._sender, "body": body},
                headers={"Idempotency-Key": reference},
            ) as answer:
                bounded.whole(answer.iter_raw(), self._timeout)  # once read, its connection is kept
        except httpx.HTTPError as error:
            raise outcome.UnavailableError(f"provider unreachable ({type(error).__name__})") from None
        if not answer.is_success:
            raise outcome.of_status(answer.status_code)


def make(config: Config) -> Sandbox:
    """Return the provider."""
    return Sandbox(config)
