from pathlib import Path

import pytest

from ci.ground.repo import Repo
from tests import checkouts


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return checkouts.initialised(tmp_path / "repo")
