"""Drift: what runs against its release, and the release against the repository's HEAD."""

from collections.abc import Sequence
from dataclasses import dataclass

from ci.delivery import engines, plan
from ci.delivery import release as releases
from ci.delivery.release import current
from ci.ground import errors
from ci.ground.repo import Repo
from ci.sealing import environment as environments


@dataclass(frozen=True)
class Drift:
    """What was changed by hand, and what HEAD says otherwise; neither holds a secret's value."""

    release: int
    by_hand: Sequence[str]
    behind: Sequence[str]


def look(repo: Repo, name: str) -> Drift:
    """Compare what runs, its release and HEAD; NotRunningError when there is no release."""
    with engines.open(repo, name) as engine:
        return _look(repo, name, engine)


def _look(repo: Repo, name: str, engine: engines.Engine) -> Drift:
    release = current(engine.history())
    if release is None:
        raise errors.NotRunningError(f"{name} has no release", f"inv deploy --env={name} makes one")
    # HEAD's values are compared in the running image; only deploy and promote choose another one.
    schema = plan.schema(repo, name, engine, release.sha)
    plain, sealed = environments.plain(repo, name), plan.sealed_lines(repo, name)
    number, settings = release.number + 1, engine.recorded
    head = releases.make(
        repo, name, release.image, schema, plain=plain, sealed=sealed, settings=settings, number=number
    )
    return Drift(release.number, engine.drift(), plan.changes(repo, engine, release, head))
