import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ci.ground.repo import Repo
from tests.ci.gates.sealing.repos import made


@contextmanager
def at_home(folder: Path) -> Iterator[None]:
    """Let identities lie beside a template, and nowhere else, for as long as this lasts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(folder / "home"))
        patch.delenv("LOCKSTEP_IDENTITY", raising=False)
        yield


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    with at_home(folder):
        return made(folder / "repo")


@pytest.fixture(scope="session")
def hybrid_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hybrid")
    with at_home(folder):
        return made(folder / "repo", post_quantum=True)


@pytest.fixture(scope="module", autouse=True)
def _home(template: Path) -> Iterator[None]:
    with at_home(template.parent):  # not for the session: tests of other folders have homes of their own
        yield


@pytest.fixture
def repo(template: Path, tmp_path: Path) -> Iterator[Repo]:
    yield Repo(shutil.copytree(template, tmp_path / "repo", symlinks=True))
    shutil.rmtree(tmp_path / "repo")  # some hundred copies are not to be kept


@pytest.fixture
def hybrid(hybrid_template: Path, tmp_path: Path) -> Repo:
    return Repo(shutil.copytree(hybrid_template, tmp_path / "repo", symlinks=True))
