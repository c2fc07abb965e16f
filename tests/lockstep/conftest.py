from collections.abc import Iterator
from pathlib import Path

import pytest

from ci.delivery import engines
from tests import checkouts
from tests.lockstep.delivery.fake import Fake


@pytest.fixture(autouse=True)
def _own_identities(tmp_path: Path) -> Iterator[None]:
    with checkouts.at_home(tmp_path / "home"):
        yield


@pytest.fixture(autouse=True)
def _fake_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let environments run on the fake engine; outside of tests there is none."""
    monkeypatch.setitem(engines.ENGINES, "fake", lambda: Fake)
