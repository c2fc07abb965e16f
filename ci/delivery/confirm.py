"""A person's confirmation before a protected environment is changed."""

from ci.ground import errors
from ci.ground.events import Events, Question


def typed(name: str, what: str) -> Events[None]:
    """Have an environment's name typed; NotConfirmedError for another answer, or when there can be none."""
    answer = yield Question(f"type {name} to go on: ")
    if answer is None or answer.strip() != name:
        raise errors.NotConfirmedError(
            f"{what}, and nobody confirmed", "type its name when asked, or add --yes where nobody can"
        )
