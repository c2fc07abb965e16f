"""The only place that starts programs: argv lists, no shell, a clean environment, secrets through stdin alone."""

import os
import pwd
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    """The result of a program: its exit code and both streams. `stderr` may hold plaintext: never print it."""

    code: int
    stdout: bytes
    stderr: bytes


def unobserved(words: Sequence[str]) -> None:
    """Show nothing of a program that starts."""


# Called with the argv of each program before it starts; ci/cli may set another.
observer: Callable[[Sequence[str]], None] = unobserved


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
    user: str | None = None,
) -> Result:
    """Run a program to its end and return its result, with any exit code.

    `env` is added to the clean environment. With `user`, root runs it as another user, and `input` must fit into a
    pipe (4 KiB). Raises ToolMissingError when there is no such program and CommandError after `timeout`
    seconds.
    """
    words = _words(argv)
    try:
        with _stdin(input, user) as stdin:
            done = subprocess.run(  # noqa: S603, argv only
                words,
                **stdin,
                env=environment(env),
                cwd=cwd,
                timeout=timeout,
                capture_output=True,
                check=False,
                **_identity(user),
            )
    except (FileNotFoundError, PermissionError):  # the latter when PATH has a folder that we cannot enter
        raise _missing(words[0]) from None
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


class Detached(subprocess.Popen[bytes]):
    """A process that is meant to outlive us: dropping it is not a leak and does not warn of one."""

    def __del__(self) -> None:
        """Do nothing."""


def spawn(
    argv: Sequence[str | Path],
    *,
    log: Path,
    input: bytes = b"",  # noqa: A002, subprocess' own word
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
    user: str | None = None,
) -> Detached:
    """Start a program in a session of its own, where it outlives us, and return at once.

    It reads `input` and then the end of its stdin; what it prints is appended to `log`, which only we can read.
    """
    words = _words(argv)
    log.parent.mkdir(parents=True, exist_ok=True)
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        process = Detached(
            words,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=environment(env),
            cwd=cwd,
            pass_fds=pass_fds,
            start_new_session=True,
            **_identity(user),
        )
    except (FileNotFoundError, PermissionError):  # the latter when PATH has a folder that we cannot enter
        raise _missing(words[0]) from None
    finally:
        os.close(output)
    assert process.stdin  # noqa: S101, for mypy: it is a pipe
    with suppress(BrokenPipeError), process.stdin as pipe:  # the caller sees that the process has ended
        pipe.write(input)
    return process


def _words(argv: Sequence[str | Path]) -> list[str]:
    words = [str(word) for word in argv]
    observer(words)
    return words


def _missing(program: str) -> errors.ToolMissingError:
    return errors.ToolMissingError(f"{program} is not installed", "run ./run inv --list, it installs")


def _identity(user: str | None) -> dict[str, Any]:
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}


@contextmanager
def _stdin(data: bytes, user: str | None) -> Iterator[dict[str, Any]]:
    """Give what subprocess.run needs for `data` on stdin; `user` could not reopen a pipe that belongs to root."""
    if user is None:
        yield {"input": data}
        return
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb"), os.fdopen(writer, "wb") as pipe:
        with suppress(OSError):  # only Linux needs a permission to open /dev/stdin, and can give it
            os.fchown(reader, pwd.getpwnam(user).pw_uid, -1)
        pipe.write(data)
        pipe.close()
        yield {"stdin": reader}
