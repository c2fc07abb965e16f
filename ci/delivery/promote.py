"""Promotion: an environment takes the very image that runs healthily in the one it follows, and no other."""

from datetime import UTC, datetime

from ci.delivery import engines
from ci.delivery.release import Image, Release, current
from ci.ground import errors, git
from ci.ground.repo import Repo


def image(repo: Repo, name: str, sha: str = "") -> Image:
    """Return the image that runs in the environment before; RefusedError when that is none, or not of `sha`."""
    leader = _leader(repo, name)
    if sha and leader.sha != (wanted := git.commit(repo.root, sha)[: git.SHORT]):
        hint = f"promote the newest instead; without --sha {name} gets what {leader.environment} runs"
        raise errors.RefusedError(f"{leader.environment} runs {leader.sha} by now, not {wanted}", hint)
    return Image(leader.sha, leader.image)


def check(repo: Repo, name: str, wanted: Image) -> None:
    """Raise RefusedError unless the environment before runs this image, healthily and for long enough."""
    leader = _leader(repo, name)
    if (leader.sha, leader.image) != (wanted.sha, wanted.id):
        raise _refused(name, f"{leader.environment} runs {leader.sha}, not {wanted.sha}", leader)
    engine = engines.of(repo, leader.environment)
    replicas = engine.replicas(repo, leader.environment)
    if not replicas or not all(map(engine.healthy, replicas)):
        raise _refused(name, f"release {leader.number} of {leader.environment} is not healthy", leader)
    soak = repo.environments.by_name[name].soak_minutes
    minutes = (datetime.now(UTC) - datetime.fromisoformat(leader.ended)).total_seconds() / 60
    if minutes < soak:
        what = f"release {leader.number} runs in {leader.environment} for {minutes:.0f} of {soak:g} minutes"
        raise _refused(name, what, leader)


def _leader(repo: Repo, name: str) -> Release:
    follows = repo.environments.by_name[name].follows
    if follows is None:
        raise errors.UsageError(f"{name} follows no environment", f"inv deploy --env={name}")
    release = current(engines.of(repo, follows).history(repo, follows))
    if release is None:
        raise errors.RefusedError(
            f"nothing runs in {follows}, which {name} follows", f"inv deploy --env={follows}"
        )
    return release


def _refused(name: str, what: str, leader: Release) -> errors.RefusedError:
    hint = f"deploy it to {leader.environment} first, or --force='REASON', which is recorded with the release"
    return errors.RefusedError(f"{name} may not have it: {what}", hint)
