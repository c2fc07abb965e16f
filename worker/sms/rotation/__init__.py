"""The provider's API keys, as `inv rotate` has them made and revoked; docs/providers.md has its requests.

A provider of keys is a module with `make`, `admits`, `revoke` and `sweep`; `PROVIDERS` has it under SMS_PROVIDER's
value. A key is `id:secret`, and has the name of the rotation that made it, by which one that was lost is found.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol, cast

from runtime import Secret

VARIABLE = "LOCKSTEP_TWILIO_MAIN_KEY"  # of the shell of whoever rotates, see twilio.py
TIMEOUT_SECONDS = 10


class FaultError(Exception):
    """A provider did not do what it was asked; `refused` says that it did not accept the key."""

    def __init__(self, message: str, hint: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.hint = hint
        self.refused = refused


@dataclass(frozen=True)
class Request:
    """One request: the rotation's tag, the worker's plain values, the old key, and one that may manage keys."""

    tag: str
    plain: Mapping[str, str]
    old: Secret
    main: Secret = field(default_factory=lambda: Secret(""))


class Provider(Protocol):
    """What a rotation needs; each may be asked again after a kill, with the same outcome."""

    def make(self, request: Request) -> Secret:
        """Return a new key; first revoke one that an earlier, killed attempt made."""

    def admits(self, request: Request, value: Secret) -> bool:
        """Return whether a key is valid."""

    def revoke(self, request: Request, value: Secret, by: Secret) -> None:
        """Revoke a key, with another that stays valid."""

    def sweep(self, request: Request) -> None:
        """Revoke the keys that have this rotation's name."""


PROVIDERS: Mapping[str, str] = {
    "sandbox": "worker.sms.rotation.sandbox",
    "twilio": "worker.sms.rotation.twilio",
}


def provider(plain: Mapping[str, str]) -> Provider:
    """Return the provider that SMS_PROVIDER names; only its own library is imported."""
    return cast("Provider", import_module(PROVIDERS[plain["SMS_PROVIDER"]]))


def answer(document: Mapping[str, Any], main: Secret) -> dict[str, Any]:
    """Answer one request; FaultError when the provider does not do it."""
    request = Request(document["tag"], document["plain"], Secret(document["old"]), main)
    keys = provider(request.plain)
    match document["ask"]:
        case "make":
            return {"value": keys.make(request).reveal()}
        case "admits":
            return {"valid": keys.admits(request, Secret(document["value"]))}
        case "revoke":
            keys.revoke(request, Secret(document["value"]), Secret(document["by"]))
        case "sweep":
            keys.sweep(request)
        case _:  # admit: a key is valid from its making
            pass
    return {}
