"""A rotation of each of three keys in `local`, step by step: the seconds of the provider, the engine, and ours.

The provider's are those in its functions; the engine's those in its functions, among them the job `verify`, which
waits for what was deployed. Ours is all else from the start of Python to its end: sops, the plan, the record.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from bench.measure import Row
from ci import cli
from ci.cli import console
from ci.delivery import engines
from ci.ground import events, repo
from ci.ground.events import Events
from ci.rotation import providers, rotate
from tests import checkouts
from tests.checkouts import Clone

KEYS = ("SMS_PROVIDER_API_KEY", "DATABASE_URL", "REDIS_URL")
PROVIDER, ENGINE, ALL = "provider", "engine", "all"
STEPS = ("", *(step.__name__ for step in rotate.STEPS))  # the first one is what stands around the others
BOUND_SECONDS = 2.0


class Spent(NamedTuple):
    """The seconds of a step: the provider's, the engine's, and all of it."""

    step: str
    provider: float
    engine: float
    whole: float

    @property
    def ours(self) -> float:
        """What is left."""
        return self.whole - self.provider - self.engine


def rows() -> list[Row]:
    """Return what each rotation took, ours beside its bound; print it step by step."""
    with tempfile.TemporaryDirectory() as folder:
        clone = checkouts.clone(Path(folder))
        try:
            clone.inv("deploy")
            found = {key: _rotated(clone, key) for key in KEYS}
        finally:
            clone.inv("stop", "--purge")
    headings = ("key", "step", "provider's, s", "engine's, s", "ours, s")
    console.table(headings, [row for key, spent in found.items() for row in _table(key, spent)])
    return [row for key, spent in found.items() for row in _sums(key, spent)]


def _rotated(clone: Clone, key: str) -> list[Spent]:
    """Rotate in a process of its own, as people do."""
    begun = time.monotonic()
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "bench.rotation", key],
        cwd=clone.repo.root,
        env=clone.environ(),
        check=True,
        capture_output=True,
    )
    seconds = time.monotonic() - begun
    around, *steps = (Spent(*one) for one in json.loads(done.stdout))
    return [around._replace(whole=seconds - sum(one.whole for one in steps)), *steps]


def _table(key: str, spent: Sequence[Spent]) -> list[list[str]]:
    return [
        [key, one.step or "around", *(f"{seconds:.2f}" for seconds in (one.provider, one.engine, one.ours))]
        for one in spent
    ]


def _sums(key: str, spent: Sequence[Spent]) -> list[Row]:
    return [
        (f"{key}, the provider's, s", sum(one.provider for one in spent), None),
        (f"{key}, the engine's, s", sum(one.engine for one in spent), None),
        (f"{key}, ours, s", sum(one.ours for one in spent), BOUND_SECONDS),
    ]


class Clock:
    """Seconds by step and by whose they are."""

    def __init__(self) -> None:
        self.step = STEPS[0]
        self.seconds: dict[tuple[str, str], float] = defaultdict(float)

    def timed(self, whose: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return the same function, whose time is noted."""

        def run(*arguments: Any, **options: Any) -> Any:
            begun = time.monotonic()
            try:
                return work(*arguments, **options)
            finally:
                self.seconds[self.step, whose] += time.monotonic() - begun

        return run

    def within(self, step: rotate.Step) -> rotate.Step:
        """Return the same step, to which is noted what happens in it."""

        def run(rotation: rotate.Rotation) -> Events[str]:
            self.step, start = step.__name__, time.monotonic()
            text = yield from events.result(step(rotation))
            self.seconds[self.step, ALL] += time.monotonic() - start
            self.step = STEPS[0]
            return text

        run.__name__ = step.__name__
        return run

    def spent(self) -> list[Spent]:
        """Return them in the order of the steps."""
        return [Spent(step, *(self.seconds[step, whose] for whose in (PROVIDER, ENGINE, ALL))) for step in STEPS]


class Timed:
    """A module whose functions are timed."""

    def __init__(self, module: object, whose: str, clock: Clock) -> None:
        self._module, self._whose, self._clock = module, whose, clock

    def __getattr__(self, name: str) -> Any:
        """Return what the module has."""
        attribute = getattr(self._module, name)
        return self._clock.timed(self._whose, attribute) if callable(attribute) else attribute

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave it open: the process ends."""


def main() -> None:
    """Rotate a key of the `local` of this checkout, and print the seconds as JSON."""
    clock, provider, engine = Clock(), providers.of, engines.open
    providers.of = lambda here, name: _timed(provider(here, name), clock)  # type: ignore[assignment]
    engines.open = lambda here, name: Timed(engine(here, name), ENGINE, clock)  # type: ignore[assignment]
    rotate.STEPS = tuple(map(clock.within, rotate.STEPS))
    here = repo.here()
    cli.follow(rotate.run(here, here.environments.default, sys.argv[1], rotate.Options()))
    console.say(json.dumps(clock.spent()))


def _timed(opened: Events[Any], clock: Clock) -> Events[Any]:
    return Timed((yield from opened), PROVIDER, clock)


if __name__ == "__main__":
    main()
