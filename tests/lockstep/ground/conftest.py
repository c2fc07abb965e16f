from collections.abc import Iterator
from pathlib import Path

import pytest

from ci.ground.repo import Repo
from tests.lockstep import mirrors
from tests.lockstep.ground.tools import Age
from tests.lockstep.mirrors import Mirror, archive, tool


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    """A mirror without files."""
    with mirrors.serving() as server:
        yield server


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """A checkout without tools, on a machine without Go."""
    (tmp_path / "no-go").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "no-go"))
    return Repo(tmp_path / "checkout")


@pytest.fixture
def age(mirror: Mirror) -> Age:
    """A tool of two programs that the mirror has, and their content."""
    data, content = archive("age/LICENSE", "age/age", "age/age-keygen")
    mirror.files["/tools/age.tar.gz"] = data
    return tool("age.tar.gz", data, ["age/age", "age/age-keygen"]), content
