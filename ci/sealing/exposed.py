"""config/exposed.yaml: the values that a removed recipient could read, until each has been changed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import yaml

from ci.ground import documents, errors
from ci.ground.repo import Repo
from ci.sealing import change, environment
from ci.sealing.recipients import Recipient

HEADER = (
    "# Who was removed could read these values; each leaves the list when it has been changed. Written by inv.\n"
)


@dataclass(frozen=True)
class Exposed:
    """One value: of which environment and key, since which day, and whom it was known to."""

    environment: str
    key: str
    since: str
    recipient: str
    name: str = ""


def path(repo: Repo) -> Path:
    """Return where the list is kept; it holds no secret, and is committed."""
    return repo.file("config/exposed.yaml")


def read(repo: Repo) -> list[Exposed]:
    """Return what is still open."""
    try:
        rows = documents.load(path(repo).read_bytes())
        return [Exposed(**{key: str(value) for key, value in row.items()}) for row in rows]
    except FileNotFoundError:
        return []
    except (yaml.YAMLError, TypeError, AttributeError):
        raise errors.ConfigurationError(
            "config/exposed.yaml cannot be read",
            "take the last good one back: git checkout -- config/exposed.yaml",
        ) from None


def added(repo: Repo, name: str, keys: Sequence[str], recipient: Recipient) -> change.Files:
    """Return the list with all these values of an environment as known to a recipient."""
    today = datetime.now(UTC).date().isoformat()
    rows = read(repo)
    known = {row.key for row in rows if (row.environment, row.recipient) == (name, recipient.key)}
    new = [Exposed(name, key, today, recipient.key, recipient.name) for key in keys if key not in known]
    return _file(repo, [*rows, *new])


def settled(repo: Repo, name: str, values: Mapping[str, str | None]) -> change.Files:
    """Return the list without those of the values that are new; None is a value that is removed.

    The sealed file must be opened for that; where it cannot be, nothing leaves the list.
    """
    rows = read(repo)
    if not any(row.environment == name and row.key in values for row in rows):
        return {}
    try:
        before = environment.sealed(repo, name)
    except errors.LockstepError:
        return {}
    old = {key: value.reveal() for key, value in before.items()}
    return _file(
        repo,
        [
            row
            for row in rows
            if row.environment != name or values.get(row.key, old.get(row.key)) == old.get(row.key)
        ],
    )


def _file(repo: Repo, rows: Sequence[Exposed]) -> change.Files:
    if not rows:
        return {path(repo): None}
    listed = [{key: value for key, value in asdict(row).items() if value} for row in rows]
    text = yaml.safe_dump(listed, sort_keys=False, allow_unicode=True, width=1000, default_flow_style=False)
    return {path(repo): (HEADER + text).encode()}
