"""Processes of this machine, found in the process table by their command line."""

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

SAME_START = 2.0  # seconds; a time by the clock is calculated, and never the same


def of(folder: Path) -> list[psutil.Process]:
    """Return the live processes whose tag is of this folder, FOLDER#RELEASE, without those that these started."""
    tag = f"{folder.resolve()}#"
    running = []
    for process in psutil.process_iter(["cmdline", "ppid", "status", "create_time"]):
        info = process.info
        if info["status"] != psutil.STATUS_ZOMBIE and word(process, "--tag").startswith(tag):
            running.append(process)
    pids = {process.pid for process in running}
    return [process for process in running if process.info["ppid"] not in pids]


def word(process: psutil.Process, option: str) -> str:
    """Return what follows an option in the command line of a process; empty without it."""
    words = process.info["cmdline"] or []
    return str(words[words.index(option) + 1]) if option in words[:-1] else ""


def began(process: psutil.Process) -> float:
    """Return when a process began, by which it is told from another that has its pid later.

    On Linux in seconds since the machine's start: a time by the clock moves when the clock is set, as after a
    virtual machine stood still.
    """
    if not psutil.LINUX:
        return process.create_time()
    with suppress(FileNotFoundError, ProcessLookupError):
        fields = Path(f"/proc/{process.pid}/stat").read_bytes().rpartition(b")")[2].split()
        return int(fields[19]) / os.sysconf("SC_CLK_TCK")  # starttime in proc(5), the 22nd field
    raise psutil.NoSuchProcess(process.pid)


def is_from(process: psutil.Process, when: float) -> bool:
    """Whether a process began at a time of `began`, or of the clock, as versions before this one recorded it."""
    return any(abs(one - when) < SAME_START for one in (began(process), process.create_time()))


def alive(process: psutil.Process) -> bool:
    """Whether a process runs; one that ended and waits for its parent does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def runs(pid: int) -> bool:
    """Whether a process with this pid runs."""
    try:
        return alive(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False


def listening(port: int) -> psutil.Process | None:
    """Return the process that listens at a port, if this user may know it."""
    try:
        sockets = [entry for entry in psutil.net_connections("tcp") if entry.laddr and entry.laddr.port == port]
        pids = (entry.pid for entry in sockets if entry.status == psutil.CONN_LISTEN and entry.pid)
        return psutil.Process(next(pids))
    except (StopIteration, psutil.Error):
        return None


def end(processes: Sequence[psutil.Process], grace: float, request: signal.Signals = signal.SIGTERM) -> None:
    """Ask processes to end, and then what they started and left; return when all have ended.

    After `grace` seconds those that still run are killed.
    """
    deadline = time.monotonic() + grace
    started = [child for process in processes for child in _children(process)]
    _signal(processes, request, deadline)
    orphans = [child for child in started if alive(child)] if not any(map(alive, processes)) else []
    _signal(orphans, signal.SIGTERM, deadline)  # such as of a shell, which does not pass on what it is asked
    left = [process for process in processes if alive(process)]
    started += [child for process in left for child in _children(process)]
    _signal([*left, *started], signal.SIGKILL, time.monotonic() + 5)
    for process in processes:
        with suppress(psutil.Error):
            process.wait(0)  # a child of ours would stay a zombie, which Postgres takes for a live one


def _signal(processes: Sequence[psutil.Process], number: signal.Signals, deadline: float) -> None:
    for process in filter(alive, processes):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
    while any(map(alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.02)


def _children(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return process.children(recursive=True)
    return []
