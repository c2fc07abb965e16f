from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import checkouts


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[checkouts.Clone]:
    """A newcomer's clone; whatever it started is stopped, whatever it made is removed."""
    made = checkouts.clone(tmp_path)
    yield made
    if made.repo.state_of("local").exists():
        made.inv("stop", "--purge")
