"""What the options of a task mean when they are left out."""

import sys
from collections.abc import Mapping, Sequence

from ci.ground import errors
from ci.ground.repo import Repo


def require(task: str, names: Sequence[str], values: Mapping[str, object]) -> None:
    """Raise UsageError unless every option that a task requires was given a value."""
    flags = [f"--{name.replace('_', '-')}" for name in names]
    missing = [flag for flag, name in zip(flags, names, strict=True) if values.get(name) is None]
    if missing:
        example = " ".join([f"inv {task}", *(f"{flag}=…" for flag in flags)])
        raise errors.UsageError(f"{task} needs {' and '.join(missing)}", example)


def command() -> list[str]:
    """Return the words after `--`, each exactly as it was typed; Invoke joins them with blanks."""
    return sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []


def environment(repo: Repo, option: str | None) -> str:
    """Return the environment that was given, or else this machine's default; UsageError without either."""
    name = repo.environments.default if option is None else option
    if option is None and not name:
        choices = ", ".join(repo.environments.by_name)
        raise errors.UsageError("no environment given", f"name one with --env=…: {choices}")
    return name
