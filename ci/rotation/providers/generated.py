"""Random values that are made here; the service that accepts them is one of the product's own.

A list of `several` (API_TOKENS) first holds new and old values, each new one with the scope of the old one in its
place; revoking is one more deploy, of the new ones alone, after a person has confirmed that their users have them.
Any other key has one value, and a gap.
"""

from collections import defaultdict

import httpx

from ci.ground.events import Events, Line
from ci.rotation.providers import Job
from ci.sealing import init
from runtime import Secret

gap = "from the deploy on, what was made or is sent with the old value is refused"
TOKENS = "API_TOKENS"  # of the api, which can be asked
ANY = "{token}"


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
    """Ask the api whether it accepts any of the tokens; None if it cannot be reached, and for any other key."""
    if job.key != TOKENS:
        return None
    tokens = map(_bare, value.reveal().split(","))
    headers = [{"Authorization": f"Bearer {token}"} for token in tokens]
    try:
        with httpx.Client(base_url=job.plain["PUBLIC_BASE_URL"], timeout=10, trust_env=False) as client:
            codes = {client.get("/v1/notifications?limit=1", headers=header).status_code for header in headers}
    except httpx.HTTPError:
        return None
    # 403: the token may submit, not read; 429: too many requests, an answer that only valid tokens get.
    if codes & {httpx.codes.OK, httpx.codes.FORBIDDEN, httpx.codes.TOO_MANY_REQUESTS}:
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


def _random(job: Job) -> str:
    return init.generate(job.about.generator(job.environment) or ANY)


def _bare(listed: str) -> str:
    """Return a token without its scope."""
    return listed.rpartition(":")[2]
