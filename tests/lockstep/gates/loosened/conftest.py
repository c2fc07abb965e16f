import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci.ground.repo import Repo
from tests import checkouts
from tests.lockstep.gates.parity import changes
from tests.lockstep.gates.sealing.repos import commit


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    with checkouts.at_home(folder / "home"):
        root = changes.made(folder / "repo")
        (root / ".gitignore").write_text("/.tools\n")
        checkouts.git(root, "init", "-q", "-b", "main", "--template=")
        commit(Repo(root))
    return root


@pytest.fixture
def repo(template: Path, tmp_path: Path) -> Iterator[Repo]:
    with checkouts.at_home(template.parent / "home"):
        yield Repo(shutil.copytree(template, tmp_path / "repo", symlinks=True))
    shutil.rmtree(tmp_path / "repo")
