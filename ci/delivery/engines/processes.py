"""Processes of this checkout, found in the process table by what their command line runs and where."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil


def of(root: Path, module: str) -> list[psutil.Process]:
    """Return the live processes that run `python -m MODULE` in this checkout."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd", "status"]):
        about = process.info
        runs = module in (about["cmdline"] or ()) and about["status"] != psutil.STATUS_ZOMBIE
        if runs and about["cwd"] == str(root.resolve()):
            found.append(process)
    return found


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and waits for its parent does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def listening(port: int) -> psutil.Process | None:
    """Return the process that listens at a port, if this user may know it."""
    try:
        found = [one for one in psutil.net_connections("tcp") if one.laddr and one.laddr.port == port]
        return psutil.Process(next(one.pid for one in found if one.status == psutil.CONN_LISTEN and one.pid))
    except (StopIteration, psutil.Error):
        return None


def end(those: Iterable[psutil.Process], grace: float) -> None:
    """Ask processes to end (SIGTERM), and after `grace` seconds end them (SIGKILL); return when they are gone."""
    those = list(those)
    for process in those:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, left = psutil.wait_procs(those, timeout=grace)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=5)
