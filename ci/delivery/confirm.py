"""A person's word before a protected environment is changed."""

import sys

from ci.ground import errors


def typed(name: str, what: str) -> None:
    """Have an environment's name typed; NotConfirmedError when it is not, or nobody is there to type it."""
    if sys.stdin.isatty() and input(f"type {name} to go on: ").strip() == name:
        return
    raise errors.NotConfirmedError(
        f"{what}, and nobody confirmed", "type its name when asked, or add --yes where nobody can"
    )
