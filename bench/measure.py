"""What a whole process costs, by the operating system's own account."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROUNDS = 25

Row = tuple[str, float, float | None]  # what, ratio, the bound that it must not exceed


@dataclass(frozen=True)
class Cost:
    """One run: seconds of CPU (user and system) and peak memory in bytes (Linux: KiB times 1024)."""

    cpu: float
    memory: int


@dataclass(frozen=True)
class Program:
    """What to run, where, and with which file as stdin."""

    argv: Sequence[str]
    cwd: Path
    env: Mapping[str, str]
    stdin: Path | None = None


def run(program: Program) -> Cost:
    """Run a program to its end; CalledProcessError when it fails, for a failure is not fast, it is wrong."""
    with (program.stdin or Path(os.devnull)).open("rb") as given:
        started = subprocess.Popen(  # noqa: S603
            program.argv,
            cwd=program.cwd,
            env=dict(program.env),
            stdin=given,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    _, status, usage = os.wait4(started.pid, 0)
    started.returncode = os.waitstatus_to_exitcode(status)
    if started.returncode:
        raise subprocess.CalledProcessError(started.returncode, program.argv)
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def costs(programs: Mapping[str, Program], rounds: int = ROUNDS) -> dict[str, Cost]:
    """Run the programs in turn, after one warm-up each, and return the least cost of each.

    The least, not the median: what a busy machine adds is never negative.
    """
    for program in programs.values():
        run(program)
    runs = [{name: run(program) for name, program in programs.items()} for _ in range(rounds)]
    return {
        name: Cost(min(one[name].cpu for one in runs), min(one[name].memory for one in runs)) for name in programs
    }
