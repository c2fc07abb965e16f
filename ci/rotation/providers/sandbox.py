"""The sandbox's API keys: any number is valid at once, each has the name of the rotation that made it."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from ci.ground import errors
from ci.rotation.providers import Job
from runtime import Secret

gap = ""


def make(job: Job) -> Secret:
    """Make a key at the sandbox, with the old one."""
    sweep(job)
    with _client(job, job.old) as client:
        created = _good(client.post("/v1/keys", json={"name": job.tag})).json()
        return Secret(f"{created['id']}:{created['secret']}")


def admit(job: Job, new: Secret) -> None:
    """Do nothing: a key is valid from its making."""


def admits(job: Job, value: Secret) -> bool:
    """List the keys with this one: 200 or 401, anything else is a fault."""
    with _client(job, value) as client:
        answer = client.get("/v1/keys")
        return answer.status_code != httpx.codes.UNAUTHORIZED and _good(answer).is_success


def revoke(job: Job, value: Secret, by: Secret) -> Secret:
    """Revoke one key with another; a key that is revoked already stays revoked."""
    _revoke(job, value.reveal().partition(":")[0], by)
    return by


def sweep(job: Job) -> None:
    """Revoke the keys that have this rotation's name."""
    with _client(job, job.old) as client:
        kept = _good(client.get("/v1/keys")).json()["keys"]
    for key in kept:
        if key["name"] == job.tag and not key["revoked"]:
            _revoke(job, key["id"], job.old)


def _revoke(job: Job, identifier: str, by: Secret) -> None:
    with _client(job, by) as client:
        _good(client.delete(f"/v1/keys/{identifier}"))


def _good(answer: httpx.Response) -> httpx.Response:
    if not answer.is_success:
        hint = "inv logs --service=sandbox shows why; then the same command goes on"
        raise errors.ProviderError(f"the sandbox answered {answer.status_code}", hint)
    return answer


@contextmanager
def _client(job: Job, value: Secret) -> Iterator[httpx.Client]:
    name, _, secret = value.reveal().partition(":")
    url = job.plain["SMS_PROVIDER_URL"]
    try:
        with httpx.Client(base_url=url, auth=(name, secret), timeout=10, trust_env=False) as client:
            yield client
    except httpx.HTTPError as error:
        what = type(error).__name__
        raise errors.ProviderError(f"the sandbox cannot be asked, {what}", "is it up? inv deploy") from None
