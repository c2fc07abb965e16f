import secrets
from pathlib import Path

import pytest

from ci.delivery import servers
from ci.ground import errors
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


def test_repr(tmp_path: Path) -> None:
    """A server shows no password."""
    password = secrets.token_urlsafe()

    assert password not in repr(redis_at(tmp_path, password, 1))
