"""The part of `nox -s mutation` that runs inside pytest: each mutant in a fork of a process that has collected.

A plugin, loaded with `-p bench.mutants` in the copy whose modules mutmut changed. No test runs in the collecting
process itself, so nothing that a test leaves behind, such as a cached value, hides a mutant from the next one.
"""

import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state

ORDER, FATES = "LOCKSTEP_MUTANTS", "LOCKSTEP_FATES"  # variables that name files: what to run, what came of it
PATIENCE = 10  # seconds beside ten times what its tests take; a mutant that needs more is in an endless loop
LARGEST = 4 << 30  # bytes of memory, for an endless loop that fills a list


@dataclass
class Coverage:
    """Which tests call which function, how long each takes, and which fail without a mutant."""

    tests: dict[str, list[str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    failing: list[str] = field(default_factory=list)


def pytest_runtestloop(session: pytest.Session) -> bool:
    """Find out which tests call which function, then run the mutants of each against these tests."""
    if session.testsfailed:
        raise session.Failed(f"{session.testsfailed} files cannot be collected")
    order, answer = json.loads(Path(os.environ[ORDER]).read_bytes()), Path(os.environ[FATES])
    fates: dict[str, str] = {}
    running: dict[int, str] = {}
    _fork("stats", 0, lambda: _cover(session, answer))
    os.wait()
    coverage = Coverage(**json.loads(answer.read_bytes()))
    items = {item.nodeid: item for item in session.items}
    for mutant in order["mutants"]:
        names = coverage.tests.get(mutant.partition("__mutmut_")[0], [])
        if not names:
            fates[mutant] = "not covered"
            continue
        if len(running) == order["jobs"]:
            _reap(running, fates)
        chosen = [items[name] for name in sorted(names, key=coverage.seconds.__getitem__)]
        seconds = PATIENCE + 10 * sum(coverage.seconds[name] for name in names)
        running[_fork(mutant, seconds, lambda: _run(session, chosen))] = mutant  # noqa: B023, called in this round
    while running:
        _reap(running, fates)
    answer.write_text(json.dumps({"fates": fates, "failing": coverage.failing}), encoding="utf-8")
    return True


def _fork(mutant: str, seconds: float, work: Callable[[], int]) -> int:
    """Start a process that works with a mutant, for so many seconds at most, in a folder for temporary files."""
    if pid := os.fork():
        return pid
    try:
        os.setpgid(0, 0)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        temporary = _temporary(os.getpid())
        temporary.mkdir()
        tempfile.tempdir = os.environ["TMPDIR"] = str(temporary)
        set_mutant_under_test(mutant)
        signal.alarm(int(seconds))
        resource.setrlimit(resource.RLIMIT_DATA, (LARGEST, LARGEST))
        os._exit(work())
    except BaseException as error:  # noqa: BLE001, a mutant may raise whatever it likes
        sys.stderr.write(f"{mutant}: {error!r}\n")
        os._exit(1)


def _temporary(pid: int) -> Path:
    return Path(os.environ[FATES]).parent / str(pid)


def _reap(running: dict[int, str], fates: dict[str, str]) -> None:
    """Wait for a mutant, end what its tests left running, and remove what they left behind."""
    pid, status = os.wait()
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    shutil.rmtree(_temporary(pid), ignore_errors=True)
    fates[running.pop(pid)] = "survived" if status == 0 else "killed"


def _run(session: pytest.Session, items: Sequence[pytest.Item]) -> int:
    """Run tests up to the first that fails; return 1 when one did."""
    for item, following in zip(items, [*items[1:], None], strict=True):
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed:
            return 1
    return 0


def _cover(session: pytest.Session, answer: Path) -> int:
    """Run every test once, without a mutant, and note what it calls."""
    coverage = Coverage()
    for item, following in zip(session.items, [*session.items[1:], None], strict=True):
        state()._stats.clear()  # noqa: SLF001, mutmut's own runner does
        began, failed = time.monotonic(), session.testsfailed
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed > failed:
            coverage.failing.append(item.nodeid)
            continue
        coverage.seconds[item.nodeid] = time.monotonic() - began
        for function in state()._stats:  # noqa: SLF001
            coverage.tests.setdefault(function, []).append(item.nodeid)
    answer.write_text(json.dumps(asdict(coverage)), encoding="utf-8")
    return 0
