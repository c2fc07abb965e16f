import secrets
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ci.delivery import servers
from ci.ground import errors, ports
from tests.lockstep.delivery.servers.makers import ask_redis, redis_at


@pytest.mark.server
def test_data_survives_a_restart(tmp_path: Path) -> None:
    """What Redis was told last is there after an orderly stop."""
    server = redis_at(tmp_path, secrets.token_urlsafe(), ports.free())

    with servers.serving(server):
        ask_redis(server, "SET", "key", "value")
        servers.stop(server.data)
        servers.start(server)

        assert ask_redis(server, "GET", "key") == "value"


@pytest.mark.server
def test_redis_user(tmp_path: Path) -> None:
    """With a user in the URL, nobody else gets in: not even Redis' default user."""
    password, port = secrets.token_urlsafe(), ports.free()
    url = f"redis://worker:{password}@localhost:{port}/0"

    with servers.serving(servers.redis(url, tmp_path / "redis", tmp_path / "log")):
        with redis.Redis.from_url(url, decode_responses=True) as connection:
            assert connection.execute_command("ACL", "WHOAMI") == "worker"
        with (
            redis.Redis(port=port, retry=Retry(NoBackoff(), 0)) as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.ping()


@pytest.mark.server
def test_death_at_the_start(tmp_path: Path) -> None:
    """A server that ends as it starts is an error with the last lines of its log, and leaves no record."""
    server = redis_at(tmp_path, secrets.token_urlsafe(), ports.free())
    manifest = server.data / "appendonlydir/appendonly.aof.manifest"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("no manifest\n")

    with pytest.raises(errors.StartError, match="redis ended as it started") as raised:
        servers.start(server)

    assert "manifest" in "\n".join(raised.value.detail)
    assert {server.data, server.log} == set(tmp_path.iterdir())
