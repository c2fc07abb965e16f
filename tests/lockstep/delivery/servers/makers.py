"""A Postgres and a Redis for one test, and ways to look into them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from ci.delivery import servers
from ci.delivery.servers import Server


def postgres_at(folder: Path, password: str, port: int) -> Server:
    url = f"postgresql://lock%73tep:{password}@127.0.0.1:{port}/lockstep"
    return servers.postgres(url, folder / "postgres", folder / "postgres.log")


def redis_at(folder: Path, password: str, port: int) -> Server:
    return servers.redis(f"redis://:{password}@127.0.0.1:{port}/0", folder / "redis", folder / "redis.log")


MAKERS = pytest.mark.parametrize(
    "make",
    [
        pytest.param(postgres_at, id="postgres", marks=pytest.mark.server),
        pytest.param(redis_at, id="redis", marks=pytest.mark.server),
    ],
)
Make = Callable[[Path, str, int], Server]


def ask_postgres(server: Server, statement: str) -> list[tuple[object, ...]]:
    address = server.address
    with psycopg.connect(
        host="127.0.0.1",
        port=address.port,
        user=address.user,
        password=address.password.reveal(),
        dbname=address.database,
    ) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def ask_redis(server: Server, *words: str) -> object:
    address = server.address
    with redis.Redis(port=address.port, password=address.password.reveal(), decode_responses=True) as connection:
        return connection.execute_command(*words)


def kept(server: Server) -> Iterator[Path]:
    """Every file that a server keeps, wherever it is."""
    for folder in (server.data, servers.postgres_folder(server.data)):
        yield from (path for path in folder.rglob("*") if path.is_file())
