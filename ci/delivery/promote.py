"""Promotion: an environment gets exactly the image that runs healthily in the one that it follows."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from ci.delivery import engines
from ci.delivery.release import Image, Release, current
from ci.ground import errors, git
from ci.ground.repo import Repo


@dataclass(frozen=True)
class Leader:
    """The environment that another one follows: its engine, and the release that runs there."""

    repo: Repo
    follower: str
    engine: engines.Engine
    release: Release

    def image(self, sha: str = "") -> Image:
        """Return the image that runs there; RefusedError when it is not the one of the commit `sha`."""
        if sha and self.release.sha != (wanted := git.commit(self.repo.root, sha)[: git.SHORT]):
            name = self.release.environment
            hint = f"promote the newest instead; without --sha {self.follower} gets what {name} runs"
            raise errors.RefusedError(f"{name} runs {self.release.sha} by now, not {wanted}", hint)
        return self.release.image

    def check(self, wanted: Image) -> None:
        """Raise RefusedError unless this image runs there, healthily and for long enough."""
        name, number = self.release.environment, self.release.number
        if self.release.image != wanted:
            raise self._refused(f"{name} runs {self.release.sha}, not {wanted.sha}")
        replicas = self.engine.replicas()
        if not replicas or not all(map(self.engine.healthy, replicas)):
            raise self._refused(f"release {number} of {name} is not healthy")
        soak = self.repo.environments.by_name[self.follower].soak_minutes
        minutes = (datetime.now(UTC) - datetime.fromisoformat(self.release.ended)).total_seconds() / 60
        if minutes < soak:
            raise self._refused(f"release {number} runs in {name} for {minutes:.0f} of {soak:g} minutes")

    def _refused(self, what: str) -> errors.RefusedError:
        hint = f"deploy it to {self.release.environment} first, or --force='REASON', which is recorded"
        return errors.RefusedError(f"{self.follower} may not have it: {what}", f"{hint} with the release")


@contextmanager
def leader(repo: Repo, name: str) -> Iterator[Leader]:
    """Open the environment that `name` follows; RefusedError when nothing runs there, UsageError if no image."""
    follows = repo.environments.by_name[name].follows
    if follows is None:
        raise errors.UsageError(f"{name} follows no environment", f"inv deploy --env={name}")
    with engines.open(repo, follows) as engine:
        if not engine.versioned:
            hint = "follows in config/environments.yaml names an environment that runs images"
            raise errors.UsageError(f"{follows}, which {name} follows, runs the working tree, not an image", hint)
        release = current(engine.history())
        if release is None:
            raise errors.RefusedError(
                f"nothing runs in {follows}, which {name} follows", f"inv deploy --env={follows}"
            )
        yield Leader(repo, name, engine, release)
