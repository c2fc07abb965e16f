from collections.abc import Iterator

import pytest

from tests.worker.bench import Bench, surroundings


@pytest.fixture(scope="session")
def shared(postgres_url: str, redis_url: str) -> Iterator[Bench]:
    """The surroundings of all tests."""
    with surroundings(postgres_url, redis_url) as made:
        yield made


@pytest.fixture
def bench(shared: Bench) -> Bench:
    """The same, empty."""
    return shared.emptied()
