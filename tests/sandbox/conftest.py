import secrets
from collections.abc import Iterator

import pytest

from tests import sandboxes
from tests.sandboxes import Sandbox


@pytest.fixture(scope="package")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One sandbox for all tests of this folder; what it holds is what the tests before have sent."""
    with sandboxes.running(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
def sandbox(shared: Sandbox) -> Iterator[Sandbox]:
    """The same; what one test asked for does not go wrong in the next."""
    yield shared
    with shared.client() as client:
        client.post("/v1/faults", json={"count": 0}).raise_for_status()


@pytest.fixture
def reference() -> str:
    return secrets.token_hex(8)
