from pathlib import Path

import pytest

from ci.ground.repo import Repo
from tests.lockstep.gates.rotation.histories import made


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """A checkout whose values are 300 days old."""
    return made(tmp_path / "repo", 300)
