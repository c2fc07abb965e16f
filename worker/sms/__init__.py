"""Who sends SMS. A provider is a module with `make`; it stands in `PROVIDERS` under SMS_PROVIDER's value."""

from collections.abc import Mapping
from importlib import import_module
from typing import Protocol, cast

from runtime import Config


class Provider(Protocol):
    """What the worker needs of a provider."""

    def send(self, to: str, body: str, reference: str) -> None:
        """Hand one SMS over; RefusedError or UnavailableError.

        `reference` is the same for every try, so that two tries are one SMS where the provider knows how.
        """


PROVIDERS: Mapping[str, str] = {"sandbox": "worker.sms.sandbox", "twilio": "worker.sms.twilio"}


def provider(config: Config) -> Provider:
    """Return the provider that SMS_PROVIDER names; only its own library is imported."""
    return cast("Provider", import_module(PROVIDERS[config.sms_provider]).make(config))
