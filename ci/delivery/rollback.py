"""Rollback: image and config of an old release, as the engine kept them; no repository's values, no identity."""

from collections.abc import Sequence

from ci.delivery import migrations
from ci.delivery import release as releases
from ci.delivery.release import HEALTHY, Release
from ci.ground import errors
from ci.ground.repo import Repo


def make(repo: Repo, before: Sequence[Release], to: int | None, why: str) -> Release:
    """Return a new release of all that release `to` was, or the one before the current; RefusedError if not."""
    target = _target(before, to)
    _valid(before, target)
    why = why or f"rollback to release {target.number}"
    return migrations.behind(releases.again(repo, target, releases.following(before), why), before[-1].lives_with)


def _target(before: Sequence[Release], to: int | None) -> Release:
    good = [one for one in before if one.result == HEALTHY]
    if to is None:
        earlier = [one for one in good[:-1] if not _same(one, good[-1])]
        if not earlier:
            raise errors.RefusedError("there is no release to go back to", "inv history shows what there is")
        return earlier[-1]
    for one in good:
        if one.number == to:
            return one
    kept = ", ".join(str(one.number) for one in good) or "none"
    raise errors.RefusedError(f"release {to} is not one that was healthy and is kept", f"these are: {kept}")


def _valid(before: Sequence[Release], target: Release) -> None:
    """Raise RefusedError when a later release replaced a secret: the target has the old value, now revoked."""
    for one in reversed(before):
        if one.number > target.number and one.result == HEALTHY and one.rotates in target.sealed:
            raise errors.RefusedError(
                f"release {target.number} has a value of {one.rotates} that release {one.number} replaced",
                f"its image, with today's values: inv deploy --env={one.environment} --sha={target.sha} --force=…",
            )


def _same(one: Release, other: Release) -> bool:
    return [s.bundle for s in one.services.values()] == [s.bundle for s in other.services.values()]
