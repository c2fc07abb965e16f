"""A deploy ends with the new release healthy, or with what ran before untouched; it never leaves half of one."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from urllib.parse import urlsplit

import psutil
import pytest

from ci.ground import errors
from ci.sealing import environment
from model import database
from tests import checkouts, kills

CRASH = "\nraise RuntimeError('crashed on purpose')\n"
BAD_MIGRATION = f"""
from alembic import op

revision = "9999"
down_revision = "{database.head()}"


def upgrade() -> None:
    op.execute("SELECT no_such_function()")
"""


def plain(clone: checkouts.Clone) -> dict[str, str]:
    return environment.plain(clone.repo, "local")


def release(clone: checkouts.Clone) -> str:
    with urllib.request.urlopen(f"{plain(clone)['PUBLIC_BASE_URL']}/version") as answer:
        return str(answer.read().decode())


def left_running(clone: checkouts.Clone) -> list[str]:
    """Return every process that runs in the clone's state folder or belongs to its servers."""
    state = str(clone.repo.state_of("local"))
    found = [
        process.info
        for process in psutil.process_iter(["name", "cwd", "cmdline"])
        if state in (process.info["cwd"] or "") or state in " ".join(process.info["cmdline"] or ())
    ]
    records = [path.name for path in clone.repo.state_of("local").glob("*.pid")]
    return [str(one["name"]) for one in found] + records


def append(clone: checkouts.Clone, name: str, text: str) -> None:
    with (clone.repo.root / name).open("a") as file:
        file.write(text)


@pytest.mark.server
@pytest.mark.parametrize("key", ["PUBLIC_BASE_URL", "SMS_PROVIDER_URL"])
def test_a_port_in_use(clone: checkouts.Clone, key: str) -> None:
    """The message names the port and who has it, and nothing is left running."""
    port = urlsplit(plain(clone)[key]).port
    assert port
    with socket.create_server(("127.0.0.1", port)):
        shown = clone.inv("deploy", code=errors.PortInUseError.code)

    assert f"port {port} is in use by " in shown
    assert f", process {os.getpid()}\n" in shown
    assert [] == left_running(clone)


@pytest.mark.server
@pytest.mark.parametrize("service", ["app", "worker"])
def test_a_crash_at_boot(clone: checkouts.Clone, service: str) -> None:
    """The end of the log is shown, and nothing is left running."""
    append(clone, f"{service}/__init__.py", CRASH)

    shown = clone.inv("deploy", code=errors.StartError.code)

    assert "  | RuntimeError: crashed on purpose" in shown
    assert [] == left_running(clone)


@pytest.mark.server
def test_a_failed_migration(clone: checkouts.Clone) -> None:
    """The database's own words are shown, and nothing is left running."""
    append(clone, "model/migrations/versions/9999_bad.py", BAD_MIGRATION)

    shown = clone.inv("deploy", code=errors.MigrationError.code)

    assert "no_such_function() does not exist" in shown
    assert [] == left_running(clone)


@pytest.mark.server
def test_a_failed_deploy_leaves_the_old_release(clone: checkouts.Clone) -> None:
    """The release that ran goes on running, and a later deploy gets through."""
    clone.inv("deploy")
    before = release(clone)
    source = clone.repo.root / "app/__init__.py"
    good = source.read_text()
    append(clone, "app/__init__.py", CRASH)

    clone.inv("deploy", code=errors.StartError.code)
    after = release(clone)
    source.write_text(good)
    clone.inv("deploy")

    assert before == after
    assert '"release":2' in release(clone)


@pytest.mark.server
def test_a_bad_value_stops_a_deploy_before_it_begins(clone: checkouts.Clone) -> None:
    """Every problem is named by its key, nothing is started, and no value is told."""
    append(clone, "config/local.env", "SMTP_PROT=2525\n")
    text = clone.repo.plain("local").read_text()
    clone.repo.plain("local").write_text(text.replace("LOG_LEVEL=info", "LOG_LEVEL=loud"))

    shown = clone.inv("deploy", code=errors.ConfigurationError.code)

    assert "  | LOG_LEVEL is none of debug, info, warning, error\n  | SMTP_PROT is not in the schema\n" in shown
    assert "loud" not in shown
    assert [] == left_running(clone)


@pytest.mark.server
def test_two_deploys_at_once(clone: checkouts.Clone) -> None:
    """The second is told who is at work, and the first gets through."""
    first = subprocess.Popen(
        [sys.executable, "-m", "invoke", "deploy"],
        cwd=clone.repo.root,
        env=clone.environ(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    lock = clone.repo.state_of("local") / "lock"
    while not (lock.exists() and lock.read_text()):
        time.sleep(0.01)

    shown = clone.inv("deploy", code=errors.LockedError.code)

    assert f"process {first.pid} is at work on local" in shown
    assert 0 == first.wait(timeout=120)


@pytest.mark.server
@pytest.mark.parametrize("step", ["decrypt", "prepare", "migrate", "apply", "wait"])
def test_a_killed_deploy_is_finished_by_the_next(clone: checkouts.Clone, step: str) -> None:
    """After SIGKILL behind any step, the same command ends with one release and nothing beside it."""
    kills.told(clone, step, "deploy")

    clone.inv("deploy")

    services = [line.split()[:2] for line in clone.inv("status").splitlines() if " ready " in line]
    assert ["api", "sandbox", "worker"] == [service for service, _ in services]
    assert 1 == len({number for _, number in services})


def test_an_environment_without_an_engine_here(clone: checkouts.Clone) -> None:
    """An engine that Lockstep does not have is named, beside the settings that it leaves without one."""
    path = clone.repo.root / "config/environments.yaml"
    path.write_text(path.read_text().replace("engine: swarm", "engine: cloud"))

    shown = clone.inv("deploy", "--env=prod", code=errors.ConfigurationError.code)

    assert "environments.prod.swarm: unknown field; its engine is cloud" in shown
