from collections.abc import Iterator

import pytest

from tests.app.asked import Api, asked


@pytest.fixture(scope="session")
def shared(postgres_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One process for all tests."""
    with asked(postgres_url, redis_url, tmp_path_factory.mktemp("api") / "log") as made:
        yield made


@pytest.fixture
def api(shared: Api) -> Api:
    """The same, empty."""
    return shared.emptied()
