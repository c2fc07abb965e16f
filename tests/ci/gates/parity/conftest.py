import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci.ground.repo import Repo
from tests.ci.gates.parity import changes


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the identities that open the template."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(home))
        patch.delenv("LOCKSTEP_IDENTITY", raising=False)
        return changes.made(tmp_path_factory.mktemp("template") / "repo")


@pytest.fixture
def repo(template: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repo]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    monkeypatch.delenv("LOCKSTEP_IDENTITY", raising=False)
    yield Repo(shutil.copytree(template, tmp_path / "repo", symlinks=True))
    shutil.rmtree(tmp_path / "repo")
