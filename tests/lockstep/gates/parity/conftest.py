import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci.ground.repo import Repo
from tests import checkouts
from tests.lockstep.gates.parity import changes


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    with checkouts.at_home(folder / "home"):
        return changes.made(folder / "repo")


@pytest.fixture
def repo(template: Path, tmp_path: Path) -> Iterator[Repo]:
    with checkouts.at_home(template.parent / "home"):
        yield Repo(shutil.copytree(template, tmp_path / "repo", symlinks=True))
    shutil.rmtree(tmp_path / "repo")
