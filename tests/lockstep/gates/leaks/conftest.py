from pathlib import Path

import pytest

from ci.ground.repo import Repo
from tests.lockstep.gates.leaks import repos


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = repos.checkout(tmp_path / "repo")
    repos.commit(made, "README.md", "hello\n")
    return made
