"""Twilio's API keys, through its official library: any number is valid at once, each has its rotation's name.

At Twilio a standard key cannot manage keys, and the API makes only standard keys, which is what a service should
have. So LOCKSTEP_TWILIO_MAIN_KEY holds what can: a main key as id:secret, which only Twilio's console makes, or
the account's SID and auth token as SID:token. A standard key cannot read its account either, so its validity is
checked by listing one message. See https://www.twilio.com/docs/iam/api-keys/keys-in-console.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from requests.exceptions import RequestException
from twilio.base.exceptions import TwilioException
from twilio.base.version import Version
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from ci.ground import errors
from ci.rotation.providers import Job
from runtime import Secret

gap = ""
VARIABLE = "LOCKSTEP_TWILIO_MAIN_KEY"
HINT = (
    f"make a main key in Twilio's console (Account, API keys & tokens), put id:secret into {VARIABLE}: "
    f"read -rs {VARIABLE} && export {VARIABLE}"
)
TIMEOUT_SECONDS = 10
NOT_FOUND = 404
REFUSED = 20003  # https://www.twilio.com/docs/api/errors/20003; a 401 without it may be a proxy's


class AddressedHttpClient(TwilioHttpClient):  # type: ignore[misc]
    """Twilio's HTTP client, which sends every request to SMS_PROVIDER_URL, as the worker's does."""

    def __init__(self, address: str) -> None:
        super().__init__(timeout=TIMEOUT_SECONDS)
        self._base = urlsplit(address)

    def request(self, method: str, url: str, *arguments: Any, **options: Any) -> Response:
        """Send the request to the same path at our address."""
        moved = urlsplit(url)._replace(scheme=self._base.scheme, netloc=self._base.netloc)
        return super().request(method, moved.geturl(), *arguments, **options)


def make(job: Job) -> Secret:
    """Make a standard key."""
    sweep(job)
    with _translated():
        created = _account(job).new_keys.create(friendly_name=job.tag)
        return Secret(f"{created.sid}:{created.secret}")


def admit(job: Job, new: Secret) -> None:
    """Do nothing: a key is valid from its making."""


def admits(job: Job, value: Secret) -> bool:
    """List one message with the key; Twilio's own 401 is a refusal, anything else a fault."""
    try:
        with _translated():
            _client(job, value).messages.list(limit=1, page_size=1)
    except errors.KeyRefusedError:
        return False
    return True


def revoke(job: Job, value: Secret, by: Secret) -> Secret:
    """Delete one key; a key that does not exist is not a fault."""
    _delete(job, value.reveal().partition(":")[0])
    return by


def sweep(job: Job) -> None:
    """Delete the keys that have this rotation's name."""
    with _translated():
        lost = [key.sid for key in _account(job).keys.list() if key.friendly_name == job.tag]
    for identifier in lost:
        _delete(job, identifier)


def _delete(job: Job, identifier: str) -> None:
    with _translated(done=NOT_FOUND):
        _account(job).keys(identifier).delete()


def _account(job: Job) -> Any:
    return _client(job, main_key()).api.account


def main_key(environ: Mapping[str, str] = os.environ) -> Secret:
    """Return the key that may manage keys; ProviderError says how to get it."""
    if not environ.get(VARIABLE):
        raise errors.ProviderError("twilio lets only a main key manage keys, and there is none here", HINT)
    return Secret(environ[VARIABLE])


def _client(job: Job, value: Secret) -> Client:
    identifier, _, secret = value.reveal().partition(":")
    return Client(
        username=identifier,
        password=secret,
        account_sid=job.plain["SMS_PROVIDER_ACCOUNT"],
        http_client=AddressedHttpClient(job.plain["SMS_PROVIDER_URL"]),
        environment={},  # TWILIO_* of the shell must not choose where this goes
    )


@contextmanager
def _translated(done: int = 0) -> Iterator[None]:
    """Turn the errors of Twilio's library into ours, without Twilio's words; the status `done` is not an error."""
    try:
        yield
    except TwilioException as error:
        # For a list the library raises an error around the answer, without its status and code.
        answers = [argument for argument in error.args if isinstance(argument, Response)]
        refusal = Version.exception("GET", "", answers[0], "") if answers else error
        status, code = getattr(refusal, "status", None), getattr(refusal, "code", None)
        if status is None:
            raise _silent(error) from None
        if status == done:
            return
        if code == REFUSED:
            wrong = "twilio does not know the key, or does not let it manage keys"
            raise errors.KeyRefusedError(wrong, HINT) from None
        raise errors.ProviderError(
            f"twilio answered {status}, code {code or 'none'}",
            "see https://www.twilio.com/docs/api/errors; are SMS_PROVIDER_ACCOUNT and SMS_PROVIDER_URL right?",
        ) from None
    except RequestException as error:
        raise _silent(error) from None


def _silent(error: Exception) -> errors.ProviderError:
    return errors.ProviderError(f"twilio cannot be asked, {type(error).__name__}", "can it be reached from here?")
