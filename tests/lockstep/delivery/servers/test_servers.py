import importlib.util
import os
import secrets
import socket
from pathlib import Path

import psutil
import pytest

from ci.delivery import servers
from ci.delivery.servers import postgres_server
from ci.ground import errors, ports
from tests.lockstep.delivery.servers.makers import (
    MAKERS,
    Make,
    ask_postgres,
    kept,
    postgres_at,
    redis_at,
)


@MAKERS
def test_runs_once(make: Make, tmp_path: Path) -> None:
    """A server that runs is found again, not started again."""
    server = make(tmp_path, secrets.token_urlsafe(), ports.free())

    with servers.serving(server) as process:
        assert process == servers.start(server) == servers.running(server.data)


@MAKERS
def test_outlives_us(make: Make, tmp_path: Path) -> None:
    """A server has a session of its own, so the end of a terminal does not reach it."""
    server = make(tmp_path, secrets.token_urlsafe(), ports.free())

    with servers.serving(server) as process:
        assert process.pid == os.getsid(process.pid)


@MAKERS
def test_password_stays_in_memory(make: Make, tmp_path: Path) -> None:
    """The password is in no file, no log, no argv and no environment of a server."""
    password = secrets.token_urlsafe()
    server = make(tmp_path, password, ports.free())

    with servers.serving(server) as process:
        handle = psutil.Process(process.pid)
        seen = [handle.cmdline(), handle.environ().values(), [server.log.read_text()]]
        files = {path: path.read_bytes() for path in kept(server)}

    assert files
    assert not [text for texts in seen for text in texts if password in text]
    assert not [path for path, data in files.items() if password.encode() in data]


@MAKERS
def test_moves_to_another_port(make: Make, tmp_path: Path) -> None:
    """A server whose URL got another port leaves the old one."""
    password, port = secrets.token_urlsafe(), ports.free()
    moved = make(tmp_path, password, ports.free())

    with servers.serving(make(tmp_path, password, port)) as first, servers.serving(moved) as second:
        servers.require_free(port)

        assert first != second
        assert second == servers.running(moved.data)


@MAKERS
def test_takes_the_password_percent_decoded(make: Make, tmp_path: Path) -> None:
    """A password with reserved characters is the decoded one."""
    with servers.serving(make(tmp_path, "p%40ss%2F%25%20%22%27w", ports.free())) as process:
        server = make(tmp_path, "p%40ss%2F%25%20%22%27w", ports.free())

        assert server.address.password.reveal() == "p@ss/% \"'w"
        assert process.find()


@MAKERS
def test_port_in_use(make: Make, tmp_path: Path) -> None:
    """A port that belongs to somebody else is an error which names the port and the process."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(errors.PortInUseError) as raised:
            servers.start(make(tmp_path, secrets.token_urlsafe(), port))

    assert f"port {port} is in use by {psutil.Process().name()}, process {os.getpid()}" == str(raised.value)


@MAKERS
def test_other_password_while_it_runs(make: Make, tmp_path: Path) -> None:
    """A server that runs with another password is left alone, and the error says what the matter is."""
    port = ports.free()

    with servers.serving(make(tmp_path, secrets.token_urlsafe(), port)) as process:
        changed = make(tmp_path, secrets.token_urlsafe(), port)
        with pytest.raises(errors.StartError, match="another user or password"):
            servers.start(changed)

        assert process == servers.running(changed.data)


def test_nothing_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with no server at all is told what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(postgres_server, "DEBIAN", tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    server = redis_at(tmp_path, secrets.token_urlsafe(), ports.free())

    with pytest.raises(errors.ToolMissingError, match="no Postgres"):
        postgres_server.find_programs(tmp_path)
    with pytest.raises(errors.ToolMissingError, match="no Redis"):
        server.prepare()


@MAKERS
def test_says_whether_one_ran(make: Make, tmp_path: Path) -> None:
    """Stop ends the process and says so, once."""
    server = make(tmp_path, secrets.token_urlsafe(), ports.free())

    with servers.serving(server) as process:
        assert servers.stop(server.data)
        assert not servers.stop(server.data)
        assert process.find() is None


@MAKERS
def test_purge_leaves_the_log_alone(make: Make, tmp_path: Path) -> None:
    """Purge stops the server and removes everything but its log."""
    server = make(tmp_path, secrets.token_urlsafe(), ports.free())

    process = servers.start(server)
    servers.purge(server.data)

    assert process.find() is None
    assert [server.log] == list(tmp_path.iterdir())
    assert not list(kept(server))
    assert not servers.postgres_folder(server.data).exists()


@pytest.mark.server
def test_purge_leaves_the_neighbour_alone(tmp_path: Path) -> None:
    """To purge one server of a folder does nothing to the other."""
    neighbour = postgres_at(tmp_path, secrets.token_urlsafe(), ports.free())

    with servers.serving(neighbour) as process:
        with servers.serving(redis_at(tmp_path, secrets.token_urlsafe(), ports.free())):
            ask_postgres(neighbour, "CREATE TABLE notes AS SELECT 1 AS id")
        servers.stop(neighbour.data)
        again = servers.start(neighbour)

        assert process != again
        assert ask_postgres(neighbour, "SELECT id FROM notes") == [(1,)]
