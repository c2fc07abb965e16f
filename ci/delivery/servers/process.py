"""Processes that outlive the command which started them, and the ports they listen at."""

import errno
import signal
import socket
from dataclasses import dataclass

import psutil

from ci.ground import errors, ports, processes


@dataclass(frozen=True)
class Process:
    """A process: its pid, and when it began, because a pid is reused later."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> "Process":
        """Return the process that has this pid now."""
        return cls(pid, processes.began(psutil.Process(pid)))

    def find(self) -> psutil.Process | None:
        """Return a handle, or None when the process has ended."""
        try:
            process = psutil.Process(self.pid)
            return process if processes.is_from(process, self.created) and processes.alive(process) else None
        except psutil.NoSuchProcess:
            return None

    def stop(self, request: signal.Signals = signal.SIGTERM, timeout: float = 10) -> None:
        """Ask the process to end, wait for it, and kill it after `timeout` seconds."""
        if process := self.find():
            processes.end([process], timeout, request)


def require_free(port: int) -> None:
    """Raise PortInUseError if a process listens at the port; it names the process where it can be seen."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ports.HOST, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                holder = processes.listening(port)
                who = f"{holder.name()}, process {holder.pid}" if holder else "another process"
                hint = "stop it, or give the environment another port: in its plain file, or with inv edit"
                raise errors.PortInUseError(f"port {port} is in use by {who}", hint) from None
