import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ci.delivery import servers
from ci.delivery.servers import Process
from ci.ground import command

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
)


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Process]:
    process = Process.of(command.spawn(SLEEPER, log=tmp_path / "sleeper.log").pid)
    yield process
    process.stop()


def test_recycled_pid(tmp_path: Path, sleeper: Process) -> None:
    """A process that has the recorded pid, but began at another time, is somebody else's."""
    record = {"pid": sleeper.pid, "created": sleeper.created - 60, "port": 1}
    (tmp_path / "redis.pid").write_text(json.dumps(record))

    assert not servers.stop(tmp_path / "redis")
    assert sleeper.find()


def test_a_clock_that_is_set(monkeypatch: pytest.MonkeyPatch, sleeper: Process) -> None:
    """The start of a process by the clock moves with it, and the process is still the same."""
    by_the_clock = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: by_the_clock(process) + 60)

    assert sleeper.find()


def test_a_record_of_an_earlier_version(sleeper: Process) -> None:
    """It has the time by the clock; the process is found all the same."""
    recorded = psutil.Process(sleeper.pid).create_time() + 1

    assert Process(sleeper.pid, recorded).find()


def test_deaf_process(tmp_path: Path) -> None:
    """A process that does not end when asked is killed."""
    log = tmp_path / "log"
    process = Process.of(command.spawn([sys.executable, "-c", STUBBORN], log=log).pid)
    while not log.read_text():
        pass

    process.stop(signal.SIGINT, timeout=0.1)

    assert process.find() is None
