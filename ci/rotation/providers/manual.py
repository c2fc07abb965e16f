"""By hand: a person makes the value at a console and gives it here, and makes the old one invalid in the end.

Whether such a value is valid cannot be asked: of the new one only the form is checked, and the person is asked to
try it; that the old one is refused is the person's word. If the rotation is killed or not confirmed, the same
command continues it: a value that was given is kept, sealed, and is not asked for again.
"""

from collections.abc import Iterator, Sequence

from ci.ground import errors
from ci.ground.events import Events, Line, Question
from ci.rotation.providers import Job
from runtime import Secret

gap = "unless its console holds two values at once, what runs with the old one fails until the deploy is through"


def make(job: Job) -> Events[Secret]:
    """Say what to do, and return the value that a person gives: at a hidden prompt, or on stdin."""
    steps = (
        "sign in at the console of whoever gives it out, keep the old value if it can hold two",
        f"make a new value there; a good one looks like {job.about.meta['example']}",
        "try it there: nobody else does before the deploy",
        "give it here, as the new value",
    )
    yield from _steps(f"{job.key} of {job.environment} is made by hand: {job.about.meta['description']}", steps)
    new = Secret((yield Question(f"{job.environment} {job.key}: ", secret=True)) or "")
    if new == job.old:
        raise errors.BadValueError(f"that is the old value of {job.key}", "make a new one, then the same command")
    return new


def admit(job: Job, new: Secret) -> None:
    """Do nothing: a person made the value valid."""


def admits(job: Job, value: Secret) -> None:
    """Return None: only the console knows."""


def revoke(job: Job, value: Secret, by: Secret) -> Events[Secret]:
    """Say what to do, and have it confirmed; NotConfirmedError until it is."""
    which = "old" if value == job.old else "new"
    steps = (
        f"at the same console, make the {which} value invalid; where it was replaced, it is",
        f"try it there: the {which} value must be refused",
    )
    yield from _steps(f"the {which} value of {job.key} of {job.environment} is to go", steps)
    yield from job.confirm(f"the {which} value of {job.key} is made invalid by hand")
    return by


def sweep(job: Job) -> None:
    """Do nothing: what a person made and did not give is theirs to remove."""


def _steps(title: str, steps: Sequence[str]) -> Iterator[Line]:
    yield Line(title)
    yield from (Line(f"  {number}. {step}") for number, step in enumerate(steps, start=1))
