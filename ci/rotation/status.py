"""How old every sealed value is, when it is due, and who changed it last; no identity is needed."""

from collections.abc import Iterator
from datetime import UTC, date, datetime

from ci.gates.finding import shown
from ci.gates.rotation import GRACE_DAYS, dates
from ci.ground import errors
from ci.ground.repo import Repo
from ci.sealing import environment

HEADINGS = ("environment", "key", "age", "due", "changed", "by", "shown by")


def rows(repo: Repo, name: str = "", now: datetime | None = None) -> Iterator[list[str]]:
    """Yield a row for each sealed key, of one environment or of all: the most overdue first, the never due last.

    Raises UsageError for an environment that is not in git, NotSealedError when it has no file, and GateError when
    the history is not whole.
    """
    if name:
        _in_git(repo, name)
    now = now or datetime.now(UTC)
    values = [value for value in dates.read(repo, now).values if name in ("", value.environment)]
    for value in sorted(values, key=lambda value: (value.due or date.max, value.environment, value.key)):
        yield [
            value.environment,
            value.key,
            f"{value.days} d",
            _due_text(value.due, now.date()),
            value.last.when.astimezone(UTC).date().isoformat(),
            shown(value.last.who),
            value.last.shown,
        ]


def _in_git(repo: Repo, name: str) -> None:
    environment.known(repo, name)
    names = repo.environments.in_git
    if name not in names:
        raise errors.UsageError(
            f"{name} is not in git, nothing tells how old its values are",
            f"take one of {', '.join(names)}: --env=…",
        )
    if not repo.sealed(name).exists():
        raise errors.NotSealedError(f"{repo.sealed(name).name} is not there", "inv init makes it")


def _due_text(due: date | None, today: date) -> str:
    if due is None:
        return "-"
    late = (today - due).days
    if late < 0:
        return f"{due}, in {-late} d"
    return f"{due}, {late} d ago" + (", overdue" if late > GRACE_DAYS else "")
