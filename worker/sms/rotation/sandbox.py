"""The sandbox's API keys: any number is valid at once."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from runtime import Secret
from worker.sms.rotation import TIMEOUT_SECONDS, FaultError, Request


def make(request: Request) -> Secret:
    """Make a key at the sandbox, with the old one."""
    sweep(request)
    with _client(request, request.old) as client:
        created = _good(client.post("/v1/keys", json={"name": request.tag})).json()
        return Secret(f"{created['id']}:{created['secret']}")


def admits(request: Request, value: Secret) -> bool:
    """List the keys with this one: 200 or 401, anything else is a fault."""
    with _client(request, value) as client:
        answer = client.get("/v1/keys")
        return answer.status_code != httpx.codes.UNAUTHORIZED and _good(answer).is_success


def revoke(request: Request, value: Secret, by: Secret) -> None:
    """Revoke one key with another; a key that is revoked already stays revoked."""
    _revoke(request, value.reveal().partition(":")[0], by)


def sweep(request: Request) -> None:
    """Revoke the keys that have this rotation's name."""
    with _client(request, request.old) as client:
        kept = _good(client.get("/v1/keys")).json()["keys"]
    for key in kept:
        if key["name"] == request.tag and not key["revoked"]:
            _revoke(request, key["id"], request.old)


def _revoke(request: Request, identifier: str, by: Secret) -> None:
    with _client(request, by) as client:
        _good(client.delete(f"/v1/keys/{identifier}"))


def _good(answer: httpx.Response) -> httpx.Response:
    if not answer.is_success:
        hint = "inv logs --service=sandbox shows why; then the same command goes on"
        raise FaultError(f"the sandbox answered {answer.status_code}", hint)
    return answer


@contextmanager
def _client(request: Request, value: Secret) -> Iterator[httpx.Client]:
    name, _, secret = value.reveal().partition(":")
    url = request.plain["SMS_PROVIDER_URL"]
    try:
        with httpx.Client(base_url=url, auth=(name, secret), timeout=TIMEOUT_SECONDS, trust_env=False) as client:
            yield client
    except httpx.HTTPError as error:
        raise FaultError(f"the sandbox cannot be asked, {type(error).__name__}", "is it up? inv deploy") from None
