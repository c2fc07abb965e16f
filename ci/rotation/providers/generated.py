"""Random values that nobody gives out: we make them, and whoever is asked for them is a service of ours.

A list of `several` (API_TOKENS) first holds new and old values, each new one with the scope of the old one in its
place; its revoke is one more deploy, of the new ones alone, once a person has said that their users have them.
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
    """Return a new value; of a list as many as there are, then the old ones."""
    if not job.about.several:
        return Secret(_random(job))
    old = job.old.reveal().split(",")
    fresh: dict[str, str] = defaultdict(lambda: _random(job))  # one that is listed with two scopes stays one
    new = [one.removesuffix(_bare(one)) + fresh[_bare(one)] for one in old]
    return Secret(",".join([*new, *old]))


def admit(job: Job, new: Secret) -> None:
    """Do nothing: what is deployed is valid."""


def admits(job: Job, value: Secret) -> bool | None:
    """Ask the api, where it can be reached, whether it takes any of the tokens; nobody can be asked else."""
    if job.key != TOKENS:
        return None
    try:
        with httpx.Client(base_url=job.plain["PUBLIC_BASE_URL"], timeout=10, trust_env=False) as client:
            codes = {_asked(client, one) for one in value.reveal().split(",")}
    except httpx.HTTPError:
        return None
    # 403: it may submit, not read; 429: it asks too often, which is answered to good ones only.
    if codes & {httpx.codes.OK, httpx.codes.FORBIDDEN, httpx.codes.TOO_MANY_REQUESTS}:
        return True
    return False if codes == {httpx.codes.UNAUTHORIZED} else None


def revoke(job: Job, gone: Secret, by: Secret) -> Events[Secret]:
    """Return what is left of a list without the values that go."""
    if not job.about.several:
        return by
    stay, go = by.reveal().split(","), gone.reveal().split(",")
    left = [one for one in stay if one not in go]
    if not left:  # the rotation is given up: `by` are the old ones, which `gone` has, too
        return by
    if len(left) < len(stay) and not job.leaked:
        yield Line(f"give the first {len(left)} of {job.key} to those who use the others, in the same order:")
        yield Line(f"  inv decrypt --env={job.environment}")
        yield from job.confirm(f"the old values of {job.key} are about to be refused")
    return Secret(",".join(left))


def sweep(job: Job) -> None:
    """Do nothing: a value is valid only where it is sealed."""


def _random(job: Job) -> str:
    return init.generate(job.about.generator(job.environment) or ANY)


def _bare(listed: str) -> str:
    """Return a token without its scope."""
    return listed.rpartition(":")[2]


def _asked(client: httpx.Client, listed: str) -> int:
    headers = {"Authorization": f"Bearer {_bare(listed)}"}
    return client.get("/v1/notifications?limit=1", headers=headers).status_code
