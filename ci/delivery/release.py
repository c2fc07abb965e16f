"""A release: what was put into an environment, by whom and when, numbered per environment."""

import getpass
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Self

from ci.ground import git
from ci.ground.repo import Repo
from ci.sealing.environment import Environment


@dataclass(frozen=True)
class Release:
    """One release. `plain` holds values, `sealed` only names; `when` is UTC, ISO 8601."""

    environment: str
    number: int
    sha: str
    plain: Mapping[str, str]
    sealed: Sequence[str]
    who: str
    when: str

    def document(self) -> dict[str, Any]:
        """Return the release as JSON can hold it."""
        return asdict(self)

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """Return the release that `document()` made."""
        return cls(**document)


def make(repo: Repo, environment: Environment, before: Sequence[Release]) -> Release:
    """Return the next release of an environment after those before it."""
    return Release(
        environment=environment.name,
        number=max((one.number for one in before), default=0) + 1,
        sha=git.sha(repo.root),
        plain=dict(environment.plain),
        sealed=sorted(environment.sealed),
        who=git.user(repo.root) or getpass.getuser(),
        when=datetime.now(UTC).isoformat(timespec="seconds"),
    )
