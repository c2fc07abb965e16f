"""Processes of `local`, found in the process table by what their command line runs and in which folder."""

import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil


def of(folder: Path, module: str) -> list[psutil.Process]:
    """Return the live processes that run `python -m MODULE` in this folder."""
    running = []
    for process in psutil.process_iter(["cmdline", "cwd", "status", "create_time"]):
        info = process.info
        runs = module in (info["cmdline"] or ()) and info["status"] != psutil.STATUS_ZOMBIE
        if runs and info["cwd"] == str(folder.resolve()):
            running.append(process)
    return running


def service(process: psutil.Process) -> str:
    """Return the service that a process is, by its command line; the sandbox names none."""
    words = process.info["cmdline"]
    return str(words[words.index("-") + 1]) if "-" in words else "sandbox"


def release(process: psutil.Process) -> int:
    """Return the release that a process is of; the sandbox is of none, 0."""
    words = process.info["cmdline"]
    return int(words[words.index("--release") + 1]) if "--release" in words else 0


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
    """Ask processes to end, and after `grace` seconds kill them (SIGKILL); return when they have ended."""
    for number, patience in ((request, grace), (signal.SIGKILL, 5)):
        for process in filter(alive, processes):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        deadline = time.monotonic() + patience
        while any(map(alive, processes)) and time.monotonic() < deadline:
            time.sleep(0.02)
    for process in processes:
        with suppress(psutil.Error):
            process.wait(0)  # a child of ours would stay a zombie, which Postgres takes for a live one
