"""Start a service or a job: `python …/runtime/entry.py OPTIONS -- COMMAND …`.

  --service NAME   whose keys are checked; it does not start when one is missing or wrong (exit 78)
  --bundle FILE    a JSON object of sealed values, a file in memory; `-` is stdin
  --port N         where the service listens; set as PORT, unless PORT is set already
  --drain SECONDS  with --port: SIGTERM reaches the service when no connection to its port has been open for a
                   second, and after SECONDS (a whole number) at the latest; a second SIGTERM reaches it at once
  --tag TEXT       the process table is searched for it, so this process stays, as the parent of what it starts: a
                   program that is executed has another command line, and some write over their own

The values go into os.environ of this very process, which then runs the module of a `python -m MODULE …`: an exec
would show them in /proc/PID/environ. Any other command is executed, and /proc shows what it was given.

An engine takes a process out of traffic and then sends SIGTERM. Its proxy opens a connection for each request, so
a server without a connection has answered every request, and no server has to know how to drain.
"""

import ctypes
import json
import os
import re
import resource
import runpy
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

OPTIONS = ("--service", "--bundle", "--port", "--drain", "--tag")
USAGE_ERROR = 64  # sysexits.h EX_USAGE
CONFIG_ERROR = 78  # sysexits.h EX_CONFIG
NOT_EXECUTABLE = 126  # as of a shell
NOT_FOUND = 127
PR_SET_PDEATHSIG = 1  # linux/prctl.h
PR_SET_NO_NEW_PRIVS = 38
RELAYED = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2}
AWAITED = RELAYED | {signal.SIGCHLD, signal.SIGALRM}
POLL_SECONDS = 0.05
QUIET_SECONDS = 1.0  # so long without a connection, and no more requests follow
ESTABLISHED = b"01"  # include/net/tcp_states.h


def main(arguments: list[str]) -> int:
    """Start what the arguments say; return an exit code, unless the process becomes another program."""
    try:
        options, command = parse(arguments)
    except ValueError as error:
        return _fail(str(error), USAGE_ERROR)
    harden()
    if "--drain" in options or "--tag" in options:
        parent = os.getpid()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
        if child := os.fork():
            return supervise(child, int(options.get("--port", 0)), int(options.get("--drain", 0)))
        end_with(parent)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return start(options, command)


def parse(arguments: list[str]) -> tuple[Mapping[str, str], list[str]]:
    """Return the options and the command after `--`; a ValueError says what is wrong."""
    options: dict[str, str] = {}
    words = iter(arguments)
    for word in words:
        if word == "--":
            break
        if word not in OPTIONS:
            raise ValueError(f"unknown option {word}, those are {', '.join(OPTIONS)}")
        options[word] = next(words, "")
    command = list(words)
    if not command:
        raise ValueError("name a command after --")
    for name in {"--port", "--drain"} & options.keys():
        if not re.fullmatch("[0-9]+", options[name]):
            raise ValueError(f"{name} takes a whole number")
    if "--drain" in options and "--port" not in options:
        raise ValueError("--drain needs --port")
    return options, command


def harden() -> None:
    """Leave no core on disk (CWE-528), and gain no right by what is started (CIS Docker Benchmark 1.6, 5.26).

    The process stays dumpable: else its own /proc is root's, and the metrics of its memory and files with it.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def end_with(parent: int) -> None:
    """Have the kernel kill this process when its parent is killed, so that no service runs unsupervised."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it was killed before the kernel knew
            os.kill(os.getpid(), signal.SIGKILL)


def supervise(child: int, port: int, drain: int) -> int:
    """Pass signals on to the child, SIGTERM when its connections have ended; return its exit code.

    AWAITED is blocked. Nothing is polled but while the child drains.
    """
    signal.signal(signal.SIGCHLD, lambda *_: None)  # some kernels drop it, though blocked, while it has no handler
    asked_at = busy_at = 0.0
    passed = False  # SIGTERM was passed on; an alarm may be pending all the same
    while (code := reap(child)) is None:
        number = signal.sigwait(AWAITED)
        now = time.monotonic()
        if number == signal.SIGTERM and not asked_at:
            asked_at = busy_at = now
            signal.setitimer(signal.ITIMER_REAL, POLL_SECONDS)
        elif number == signal.SIGALRM and not passed:
            busy_at = now if connected(port) else busy_at
            passed = now - busy_at >= QUIET_SECONDS or now - asked_at >= drain
            if passed:
                os.kill(child, signal.SIGTERM)
            else:
                signal.setitimer(signal.ITIMER_REAL, POLL_SECONDS)
        elif number in RELAYED:
            passed = passed or number == signal.SIGTERM
            os.kill(child, number)
    return code


def reap(child: int) -> int | None:
    """Return the child's exit code when it has ended; what else ended is collected, as by any process 1."""
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid in (0, child):
            break
    code = os.waitstatus_to_exitcode(status)
    return None if not pid else code if code >= 0 else 128 - code


def connected(port: int) -> bool:
    """Whether a connection to a local TCP port is open; False where the kernel has no /proc."""
    local = f":{port:04X}".encode()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_bytes().splitlines()
        except OSError:
            continue
        if any(row[1].endswith(local) and row[3] == ESTABLISHED for row in map(bytes.split, rows)):
            return True
    return False


def start(options: Mapping[str, str], command: list[str]) -> int:
    """Fill and check the environment, and run the command in this process."""
    from runtime import rules  # noqa: PLC0415, found by what prepare_path() did
    from runtime.keys import KEYS, SERVICES  # noqa: PLC0415
    from runtime.loader import ConfigError, load  # noqa: PLC0415

    service = options.get("--service", "")
    if service not in SERVICES:
        return _fail(f"--service must be one of {', '.join(SERVICES)}", USAGE_ERROR)
    try:
        if "--bundle" in options:
            fill(options["--bundle"])
    except (OSError, ValueError) as error:
        return _fail(f"the bundle cannot be read, {error}", CONFIG_ERROR)
    if "--port" in options:
        os.environ.setdefault("PORT", options["--port"])
    try:
        load(service)  # before the defaults: what is absent may be a slip in another variable's name
        for name, key in KEYS.items():
            if service in key["services"] and key.get("default") is not None:
                os.environ.setdefault(name, rules.text(key["default"]))
        return run(command)
    except ConfigError as error:
        return _fail(str(error), CONFIG_ERROR)


def fill(source: str) -> None:
    """Put the bundle's values into os.environ; a ValueError, which shows none, when it is no object of strings."""
    data = open(0 if source == "-" else source, "rb", closefd=source != "-").read()  # noqa: SIM115
    try:
        values = json.loads(data)
    except ValueError:
        raise ValueError("it is not JSON") from None
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise ValueError("it is not a JSON object of strings")
    for name, value in values.items():
        try:
            os.environb[name.encode()] = value.encode()  # UTF-8, whatever the locale
        except (OSError, ValueError):
            raise ValueError(f"{name} cannot be a variable") from None


def run(command: list[str]) -> int:
    """Run the module of `python -m` in this process, or execute any other command."""
    program, *words = command
    if re.fullmatch(r"python(3(\.\d+)?)?", program) and words[:1] == ["-m"] and words[1:]:
        sys.argv[1:] = words[2:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        return 0
    try:
        os.execvp(program, command)  # noqa: S606, to become the command is what this is for
    except FileNotFoundError:
        return _fail(f"the command {program} is not found", NOT_FOUND)
    except OSError as error:
        return _fail(f"the command {program} cannot be executed, {error.strerror}", NOT_EXECUTABLE)


def prepare_path(path: list[str], environ: Any) -> None:
    """Let modules be found as by `python -m`, and runtime/ as the last, also by Python programs started later."""
    folder = Path(__file__).absolute().parent
    if path[:1] == [str(folder)]:  # not with -P or PYTHONSAFEPATH
        path[0] = os.getcwd()  # noqa: PTH109, pathlib gives the same as an object
    path.append(str(folder.parent))
    environ["PYTHONPATH"] = os.pathsep.join(filter(None, (environ.get("PYTHONPATH"), str(folder.parent))))


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"error: {message}\n")
    return code


if __name__ == "__main__":
    prepare_path(sys.path, os.environ)
    sys.exit(main(sys.argv[1:]))
