from pathlib import Path

import pytest

from tests.lockstep.delivery.projects import Project, make


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose dev, staging and prod run on the fake engine."""
    return make(tmp_path / "repo")
