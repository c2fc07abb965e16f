from pathlib import Path

import pytest

from tests.ci.delivery.projects import Project, make


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose dev, staging and prod run on the fake engine."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LOCKSTEP_IDENTITY", raising=False)
    return make(tmp_path / "repo")
