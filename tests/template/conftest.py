from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import checkouts


@pytest.fixture(autouse=True)
def _own_identities(tmp_path: Path) -> Iterator[None]:
    with checkouts.at_home(tmp_path / "home"):
        yield
