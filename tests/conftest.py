import secrets
from collections.abc import Iterator

import pytest
from hypothesis import settings

from ci.delivery import servers
from ci.ground import ports

settings.register_profile("lockstep", deadline=None)  # how long a call takes is for `nox -s bench` to say
settings.load_profile("lockstep")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the stories, which are long: of several processes, none has one left when the others are done."""
    items.sort(key=lambda item: "stories" not in item.path.parts)


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Postgres with an empty database; its user may make further ones."""
    folder = tmp_path_factory.mktemp("postgres")
    url = f"postgresql://lockstep:{secrets.token_urlsafe()}@127.0.0.1:{ports.free()}/lockstep"
    with servers.serving(servers.postgres(url, folder / "data", folder / "log")):
        yield url


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Redis; empty it before you rely on it."""
    folder = tmp_path_factory.mktemp("redis")
    url = f"redis://:{secrets.token_urlsafe()}@127.0.0.1:{ports.free()}/0"
    with servers.serving(servers.redis(url, folder / "data", folder / "log")):
        yield url
