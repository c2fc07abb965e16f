"""Random values that are made here; the service that accepts them is one of the product's own.

It is asked at the URL of the key's `checked_at`, with the value as a bearer token.

A list of `several` first holds new and old values, each new one with the scope of the old one in its place;
revoking is one more deploy, of the new ones alone, after a person has confirmed that their users have them. Any
other key has one value, and a gap.
"""

import re
from collections import defaultdict

import httpx

from ci.ground import errors
from ci.ground.events import Events, Line
from ci.rotation.providers import Job
from ci.sealing import init
from runtime import Secret

gap = "from the deploy on, what was made or is sent with the old value is refused"
ANY = "{token}"
# The value is known, but not allowed this; too many requests, an answer that only a valid value gets.
ACCEPTED = (httpx.codes.FORBIDDEN, httpx.codes.TOO_MANY_REQUESTS)


def make(job: Job) -> Secret:
    """Return a new value; for a list as many new values as it has, then the old ones."""
    if not job.about.several:
        return Secret(_random(job))
    old = job.old.reveal().split(",")
    fresh: dict[str, str] = defaultdict(lambda: _random(job))  # a token with two scopes is replaced by one token
    new = [listed.removesuffix(_bare(listed)) + fresh[_bare(listed)] for listed in old]
    return Secret(",".join([*new, *old]))


def admit(job: Job, new: Secret) -> None:
    """Do nothing: what is deployed is valid."""


def admits(job: Job, value: Secret) -> bool | None:
    """Ask the service whether it accepts the value, or any of a list; None if that cannot be asked."""
    url = _checked_at(job)
    if not url:
        return None
    tokens = map(_bare, value.reveal().split(",")) if job.about.several else [value.reveal()]
    headers = [{"Authorization": f"Bearer {token}"} for token in tokens]
    try:
        with httpx.Client(timeout=10, trust_env=False) as client:
            codes = {client.get(url, headers=header).status_code for header in headers}
    except (httpx.HTTPError, httpx.InvalidURL):
        return None
    if any(code in ACCEPTED or httpx.codes.is_success(code) for code in codes):
        return True
    return False if codes == {httpx.codes.UNAUTHORIZED} else None


def revoke(job: Job, value: Secret, by: Secret) -> Events[Secret]:
    """Return a list without the tokens that are revoked."""
    if not job.about.several:
        return by
    listed, revoked = by.reveal().split(","), value.reveal().split(",")
    kept = [token for token in listed if token not in revoked]
    if not kept:  # the rotation is aborted: `by` holds the old tokens, and `value` contains them as well
        return by
    if len(kept) < len(listed) and not job.leaked:
        yield Line(f"give the first {len(kept)} of {job.key} to those who use the others, in the same order:")
        yield Line(f"  inv decrypt --env={job.environment}")
        yield from job.confirm(f"the old values of {job.key} are about to be refused")
    return Secret(",".join(kept))


def sweep(job: Job) -> None:
    """Do nothing: a value is valid only where it is sealed."""


def _checked_at(job: Job) -> str:
    """Return the URL with the plain values that it names; ConfigurationError for one that is not there."""
    text = str(job.about.meta.get("checked_at", ""))
    try:
        return re.sub(r"\{(\w+)\}", lambda match: job.plain[match[1]], text)
    except KeyError as error:
        raise errors.ConfigurationError(
            f"checked_at of {job.key} names {error.args[0]}, which {job.environment} has no plain value of",
            f"name a plain key there, or set it in config/{job.environment}.env",
        ) from None


def _random(job: Job) -> str:
    return init.generate(job.about.generator(job.environment) or ANY)


def _bare(listed: str) -> str:
    """Return a token without its scope."""
    return listed.rpartition(":")[2]
