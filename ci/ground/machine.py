"""What a program takes for granted of its machine and may miss: a home, a user, room on a disk, memory."""

import errno
import getpass
import os
from pathlib import Path

from ci.ground import errors

FIXES = {
    errno.ENOSPC: "make room there, and run the same command again; df -h shows which disks are full",
    errno.EDQUOT: "make room there, and run the same command again; your quota is used up",
    errno.EROFS: "run it where the folder may be written to, or mount that so",
    errno.EACCES: "run it as the user whom that belongs to, or let this one write there; id shows which one it is",
    errno.EPERM: "run it as the user whom that belongs to, or let this one write there; id shows which one it is",
    errno.EMFILE: "let a process open more files, then run the same command again: ulimit -n 4096",
    errno.ENFILE: "end what holds many files open on this machine, then run the same command again",
    errno.ENOMEM: "end what needs the memory, or give this machine or container more of it",
    errno.EAGAIN: "let this user start more processes, then run the same command again: ulimit -u shows how many",
}
FULL = (errno.ENOSPC, errno.EDQUOT)


def home() -> Path:
    """Return this user's home folder; MachineError when there is none, as for a container's arbitrary user."""
    try:
        return Path.home()
    except RuntimeError:
        raise errors.MachineError("this user has no home folder", "set HOME to a folder of yours") from None


def user() -> str:
    """Return this user's name, or the number when the machine has no name for it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # OSError since Python 3.13
        return f"user {os.getuid()}"


def fault(error: Exception) -> errors.LockstepError | None:
    """Return what an exception says of this machine, with the path that it is about; None if it says nothing."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        hint = "run it in Lockstep's own environment, which ./run sets up: ./run inv --list"
        return errors.MachineError(f"the Python package {error.name.partition('.')[0]} is missing here", hint)
    if isinstance(error, MemoryError):
        return errors.MachineError("there is no memory left", FIXES[errno.ENOMEM])
    if not isinstance(error, OSError) or not error.errno:
        return None
    what = (error.strerror or os.strerror(error.errno)).lower()
    where = "" if error.filename is None else f": {os.fsdecode(error.filename)}"
    kind = errors.DiskFullError if error.errno in FULL else errors.MachineError
    hint = "put that right, and run the same command again; LOCKSTEP_DEBUG=1 shows where it happened"
    return kind(f"{what}{where}", FIXES.get(error.errno, hint))


def heard(stderr: bytes) -> errors.LockstepError | None:
    """Return the same for what a program said before it failed; None if it says nothing of the machine."""
    found = (number for number in FIXES if os.strerror(number).encode() in stderr)
    return next((fault(OSError(number, os.strerror(number))) for number in found), None)
