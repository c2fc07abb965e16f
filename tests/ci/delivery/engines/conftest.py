from collections.abc import Iterator

import pytest

from tests import sandboxes
from tests.sandboxes import Sandbox


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One sandbox for all tests of a file; what it holds is what the tests before have sent."""
    with sandboxes.running(tmp_path_factory.mktemp("sandbox")) as running:
        yield running
