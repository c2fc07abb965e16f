import sys

import pytest

from tests.lockstep.runtime import compiled


@pytest.fixture(autouse=True)
def _keys_of_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the loader find the keys of the project that Lockstep's tests use, not those of this repository."""
    monkeypatch.setitem(sys.modules, "runtime.keys", compiled.keys())
