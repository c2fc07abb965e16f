"""Checkouts whose values were changed some days ago, and how old the gate says that they are."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ci.gates.rotation import dates
from ci.ground.repo import Repo
from ci.sealing import edit
from tests import checkouts
from tests.lockstep.sealing.vaults import DEV

TOKENS, PASSWORD, SMS = "API_TOKENS", "SMTP_PASSWORD", "SMS_PROVIDER_API_KEY"


def commit(repo: Repo, days: float, *words: str, who: str = "Anna") -> None:
    """Commit everything as somebody did some days ago; a merge, with its words."""
    when = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_AUTHOR_NAME", who)
        patch.setenv("GIT_AUTHOR_DATE", when)
        patch.setenv("GIT_COMMITTER_DATE", when)
        checkouts.git(repo.root, "add", "-A")
        checkouts.git(repo.root, "commit", "-qm", "a change", "--allow-empty", *words)


def made(folder: Path, days: float) -> Repo:
    """Return a checkout after `inv init`, committed some days ago."""
    repo = checkouts.initialised(folder)
    (repo.root / ".gitignore").write_text("/.tools\n/.local\n")
    checkouts.git(repo.root, "init", "-q", "-b", "main", "--template=")
    commit(repo, days)
    return repo


def put(repo: Repo, key: str) -> None:
    """Give a key of dev a new value."""
    edit.put(repo, DEV, key, checkouts.value(DEV, repo.schema.keys[key]))


def ages(repo: Repo) -> dict[str, int]:
    """Return how many days old each value of dev is."""
    found = dates.read(repo, datetime.now(UTC)).values
    return {one.key: one.days for one in found if one.environment == DEV}


def all_of(repo: Repo, days: int) -> dict[str, int]:
    return dict.fromkeys((key.name for key in repo.schema.secrets()), days)
