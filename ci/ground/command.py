"""The only door to subprocesses: argv lists, no shell, a clean environment, secrets through stdin alone."""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ci.ground import errors

# What a program may inherit. Anything else, such as SOPS_AGE_RECIPIENTS or GIT_DIR, would change what it does.
INHERITED = frozenset(
    """
    PATH HOME USER LOGNAME TMPDIR LANG LANGUAGE LC_ALL LC_CTYPE TZ TERM COLUMNS NO_COLOR DISPLAY WAYLAND_DISPLAY
    HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy
    SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE GIT_SSL_CAINFO
    GOPROXY GOSUMDB GONOSUMDB GOPRIVATE GOFLAGS GOPATH GOCACHE GOMODCACHE GOTOOLCHAIN
    """.split()  # noqa: SIM905, as a list it is thirty lines
)


@dataclass(frozen=True)
class Result:
    """What a program left behind: its exit code and both streams. `stderr` may hold plaintext: never print it."""

    code: int
    stdout: bytes
    stderr: bytes


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment that programs get: what may be inherited, and `extra`."""
    return {name: value for name, value in os.environ.items() if name in INHERITED} | dict(extra or {})


def attempt(
    argv: Sequence[str | Path],
    *,
    input: bytes = b"",  # noqa: A002, subprocess' own word
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = 120,
) -> Result:
    """Run a program to its end and return what it left, whatever its exit code.

    `env` is added to the clean environment. Raises ToolMissingError when there is no such program and
    CommandError after `timeout` seconds.
    """
    words = [str(word) for word in argv]
    if os.environ.get("LOCKSTEP_VERBOSE"):
        sys.stderr.write(f"$ {shlex.join(words)}\n")
    try:
        done = subprocess.run(  # noqa: S603, argv only
            words,
            input=input,
            env=environment(env),
            cwd=cwd,
            timeout=timeout,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise errors.ToolMissingError(
            f"{words[0]} is not installed", "run ./run inv --list, it installs"
        ) from None
    except subprocess.TimeoutExpired:
        name = Path(words[0]).name
        raise errors.CommandError(
            f"{name} did not end within {timeout:g} s", "is the machine overloaded?"
        ) from None
    return Result(done.returncode, done.stdout, done.stderr)


def run(argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run a program that handles no secret and return its stdout; CommandError shows its stderr if it fails."""
    result = attempt(argv, env=env, cwd=cwd)
    if result.code:
        shown = result.stderr.decode(errors="replace").splitlines()[-10:]
        line = shlex.join(str(word) for word in argv)
        raise errors.CommandError(
            f"exit code {result.code} from {line}", "the lines above are its own words", shown
        )
    return result.stdout.decode()


def interactive(argv: Sequence[str | Path], *, cwd: Path | None = None) -> int:
    """Hand the terminal to a program, such as an editor, and return its exit code."""
    words = [str(word) for word in argv]
    try:
        return subprocess.run(words, env=environment(), cwd=cwd, check=False).returncode  # noqa: S603
    except FileNotFoundError:
        raise errors.ToolMissingError(f"{words[0]} is not installed", "set EDITOR to one that is") from None
