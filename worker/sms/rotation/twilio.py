"""Twilio's API keys, through its official library: any number is valid at once.

At Twilio a standard key cannot manage keys, and the API makes only standard keys, which is what a service should
have. So LOCKSTEP_TWILIO_MAIN_KEY holds what can: a main key as id:secret, which only Twilio's console makes, or
the account's SID and auth token as SID:token. A standard key cannot read its account either, so its validity is
checked by listing one message. See https://www.twilio.com/docs/iam/api-keys/keys-in-console.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from requests.exceptions import RequestException
from twilio.base.exceptions import TwilioException
from twilio.base.version import Version
from twilio.http.response import Response
from twilio.rest import Client

from runtime import Secret
from worker.sms.rotation import TIMEOUT_SECONDS, VARIABLE, FaultError, Request
from worker.sms.twilio import AddressedHttpClient

HINT = (
    f"make a main key in Twilio's console (Account, API keys & tokens), put id:secret into {VARIABLE}: "
    f"read -rs {VARIABLE} && export {VARIABLE}"
)
NOT_FOUND = 404
REFUSED = 20003  # https://www.twilio.com/docs/api/errors/20003; a 401 without it may be a proxy's


def make(request: Request) -> Secret:
    """Make a standard key."""
    sweep(request)
    with _translated():
        created = _account(request).new_keys.create(friendly_name=request.tag)
        return Secret(f"{created.sid}:{created.secret}")


def admits(request: Request, value: Secret) -> bool:
    """List one message with the key; Twilio's own 401 is a refusal, anything else a fault."""
    try:
        with _translated():
            _client(request, value).messages.list(limit=1, page_size=1)
    except FaultError as error:
        if error.refused:
            return False
        raise
    return True


def revoke(request: Request, value: Secret, by: Secret) -> None:  # noqa: ARG001, only a main key may
    """Delete one key; a key that does not exist is not a fault."""
    _delete(request, value.reveal().partition(":")[0])


def sweep(request: Request) -> None:
    """Delete the keys that have this rotation's name."""
    with _translated():
        lost = [key.sid for key in _account(request).keys.list() if key.friendly_name == request.tag]
    for identifier in lost:
        _delete(request, identifier)


def _delete(request: Request, identifier: str) -> None:
    with _translated(done=NOT_FOUND):
        _account(request).keys(identifier).delete()


def _account(request: Request) -> Any:
    if not request.main.reveal():
        raise FaultError("twilio lets only a main key manage keys, and there is none here", HINT)
    return _client(request, request.main).api.account


def _client(request: Request, value: Secret) -> Client:
    identifier, _, secret = value.reveal().partition(":")
    return Client(
        username=identifier,
        password=secret,
        account_sid=request.plain["SMS_PROVIDER_ACCOUNT"],
        http_client=AddressedHttpClient(request.plain["SMS_PROVIDER_URL"], TIMEOUT_SECONDS, connections=1),
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
            raise FaultError(wrong, HINT, refused=True) from None
        raise FaultError(
            f"twilio answered {status}, code {code or 'none'}",
            "see https://www.twilio.com/docs/api/errors; are SMS_PROVIDER_ACCOUNT and SMS_PROVIDER_URL right?",
        ) from None
    except RequestException as error:
        raise _silent(error) from None


def _silent(error: Exception) -> FaultError:
    return FaultError(f"twilio cannot be asked, {type(error).__name__}", "can it be reached from here?")
