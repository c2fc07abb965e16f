"""Files of a checkout are read where they are, and not where a link leads."""

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ci.gates import exceptions
from ci.gates.finding import Findings
from ci.ground import errors
from ci.ground.repo import Repo
from ci.sealing import environment, exposed, recipients
from tests import checkouts

READS: dict[str, Callable[[Repo], object]] = {
    "config/schema.yaml": lambda repo: repo.schema,
    "config/environments.yaml": lambda repo: repo.environments,
    "config/dev.env": lambda repo: environment.plain(repo, "dev"),
    "config/exposed.yaml": exposed.read,
    "config/exceptions.yaml": lambda repo: exceptions.apply(
        repo, [], Findings([], {"files": 1}), datetime.now(UTC).date()
    ),
    ".sops.yaml": recipients.read,
    "secrets/dev.enc.env": lambda repo: environment.sealed(repo, "dev"),
}


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = checkouts.initialised(tmp_path / "repo")
    for name in READS:
        (made.root / name).touch()
    return made


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("kind", ["link", "pipe", "link above"])
def test_a_link_is_not_followed(repo: Repo, tmp_path: Path, name: str, kind: str) -> None:
    """Not even to a file of the same content; and a pipe is not waited for."""
    path = repo.root / name
    if kind == "link above" and path.parent != repo.root:
        path = path.parent
    shutil.move(path, tmp_path / "elsewhere")
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(errors.ConfigurationError, match=rf"^{path.relative_to(repo.root)} is a link$"):
        READS[name](Repo(repo.root))
