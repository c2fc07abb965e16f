import secrets
from pathlib import Path

import pytest

from ci.delivery import servers
from ci.ground import errors, ports
from tests.lockstep.delivery.servers.makers import redis_at


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://lockstep:canary@db.example.com:5432/lockstep",
        "postgresql://lockstep:canary@127.0.0.1/lockstep",
        "postgresql://lockstep:canary@127.0.0.1:canary/lockstep",
        "postgresql://canary@127.0.0.1:5432/lockstep",
        "canary",
    ],
)
def test_not_of_this_machine(url: str, tmp_path: Path) -> None:
    """A URL that is not whole, or of another machine, is an error that does not show it."""
    with pytest.raises(errors.ConfigurationError) as raised:
        servers.postgres(url, tmp_path / "postgres", tmp_path / "log", "DATABASE_URL of local")

    assert "DATABASE_URL of local" in str(raised.value)
    assert "canary" not in f"{raised.value} {raised.value.hint} {raised.value.__cause__}"


@pytest.mark.parametrize(
    ("scheme", "kind"),
    [
        ("postgres", "postgres"),
        ("postgresql", "postgres"),
        ("postgresql+psycopg", "postgres"),
        ("postgresql+asyncpg", "postgres"),
        ("redis", "redis"),
        ("valkey", "redis"),
    ],
)
def test_a_server_for_each_scheme(scheme: str, kind: str, tmp_path: Path) -> None:
    """Whatever driver the URL is for, the server runs and takes its user and password."""
    url = (
        f"{scheme}://lockstep:{secrets.token_urlsafe()}@127.0.0.1:{ports.free()}/{'0' * (kind == 'redis') or 'd'}"
    )
    server = servers.server(servers.kind(url), url, tmp_path / "data", tmp_path / "log", "the URL")

    with servers.serving(server):
        server.probe()

    assert kind == server.name == servers.kind(url)


@pytest.mark.parametrize("scheme", ["rediss", "mysql", "amqp", "https", ""])
def test_no_server_for_other_schemes(scheme: str) -> None:
    """One with TLS included: a server of this machine has no certificate."""
    assert "" == servers.kind(f"{scheme}://a:b@127.0.0.1:1/0")


def test_repr(tmp_path: Path) -> None:
    """A server shows no password."""
    password = secrets.token_urlsafe()

    assert password not in repr(redis_at(tmp_path, password, 1))
