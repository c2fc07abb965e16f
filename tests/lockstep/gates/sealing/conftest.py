import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci.ground.repo import Repo
from tests import checkouts
from tests.lockstep.gates.sealing.repos import made


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    with checkouts.at_home(folder / "home"):
        return made(folder / "repo")


@pytest.fixture(scope="session")
def hybrid_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hybrid")
    with checkouts.at_home(folder / "home"):
        return made(folder / "repo", post_quantum=True)


@pytest.fixture(autouse=True)
def _home(template: Path) -> Iterator[None]:
    with checkouts.at_home(template.parent / "home"):
        yield


@pytest.fixture
def repo(template: Path, tmp_path: Path) -> Iterator[Repo]:
    yield Repo(shutil.copytree(template, tmp_path / "repo", symlinks=True))
    shutil.rmtree(tmp_path / "repo")  # some hundred copies are not to be kept


@pytest.fixture
def hybrid(hybrid_template: Path, tmp_path: Path) -> Repo:
    return Repo(shutil.copytree(hybrid_template, tmp_path / "repo", symlinks=True))
