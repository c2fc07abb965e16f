"""Start a service: `python -m runtime.entry [--bundle FILE] SERVICE [MODULE [ARGUMENT ...]]`.

The bundle is a JSON object of sealed values, a file in memory or `-` for stdin. It goes into os.environ of this
very process, which then runs the service's module (or MODULE, for a migration or a one-off): after an exec the
values would stand in /proc/PID/environ, so there is none.
"""

import ctypes
import json
import os
import resource
import runpy
import sys
from pathlib import Path

from runtime.keys import SERVICES
from runtime.loader import ConfigError

USAGE_ERROR = 64  # sysexits.h EX_USAGE
CONFIG_ERROR = 78  # sysexits.h EX_CONFIG
PR_SET_NO_NEW_PRIVS = 38  # linux/prctl.h


def harden() -> None:
    """Leave no core on disk (CWE-528), and gain no right by what is started (CIS Docker Benchmark 1.6, 5.26).

    The process stays dumpable: else its own /proc is root's, and the metrics of its memory and files with it.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def fill(source: str) -> None:
    """Put the bundle's values into os.environ; a ValueError when it is no JSON object of strings."""
    text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    try:
        values = json.loads(text)
    except ValueError:
        raise ValueError("the bundle is not JSON") from None
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise ValueError("the bundle is not a JSON object of strings")
    os.environ.update(values)  # a NUL is a ValueError, too


def main(arguments: list[str]) -> int:
    """Fill the environment, run the module, return an exit code."""
    bundle = None
    if arguments[:1] == ["--bundle"] and arguments[1:]:
        bundle, arguments = arguments[1], arguments[2:]
    if not arguments or arguments[0] not in SERVICES:
        return _fail(f"name a service, one of {', '.join(SERVICES)}", USAGE_ERROR)
    harden()
    try:
        if bundle is not None:
            fill(bundle)
    except (OSError, ValueError) as error:
        return _fail(f"the bundle cannot be read, {error}", CONFIG_ERROR)
    service, *rest = arguments
    module = rest[0] if rest else SERVICES[service]
    sys.argv[1:] = rest[1:]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except ConfigError as error:
        return _fail(str(error), CONFIG_ERROR)
    return 0


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"error: {message}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
