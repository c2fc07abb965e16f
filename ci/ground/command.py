"""The only place that starts programs: argv lists, no shell, a clean environment, secrets through stdin alone."""

import os
import pwd
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import IO, Any

from ci.ground import errors

# What a program may inherit. Anything else, such as SOPS_AGE_RECIPIENTS or GIT_DIR, would change what it does.
INHERITED = frozenset(
    """
    PATH HOME USER LOGNAME TMPDIR LANG LANGUAGE LC_ALL LC_CTYPE TZ TERM COLUMNS NO_COLOR DISPLAY WAYLAND_DISPLAY
    HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy
    SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE GIT_SSL_CAINFO
    GOPROXY
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
    """Return the environment that programs get: what may be inherited, and `extra`.

    Of PATH, only folders that are the same wherever we are: a checkout brings no program.
    """
    inherited = {name: value for name, value in os.environ.items() if name in INHERITED}
    if "PATH" in inherited:
        inherited["PATH"] = path(inherited["PATH"])
    return inherited | dict(extra or {})


def path(value: str, without: Path | None = None) -> str:
    """Return a PATH of its absolute folders, without those in a checkout."""
    folders = [folder for folder in value.split(os.pathsep) if Path(folder).is_absolute()]
    if without:
        inside = without.resolve()
        folders = [folder for folder in folders if not Path(folder).resolve().is_relative_to(inside)]
    return os.pathsep.join(folders)


def attempt(
    argv: Sequence[str | Path],
    *,
    input: bytes = b"",  # noqa: A002, subprocess' own word
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = 120,
    user: str | None = None,
    whole: bool = False,
) -> Result:
    """Run a program to its end and return its result, with any exit code.

    `env` is added to the clean environment. With `user`, root runs it as another user, and `input` must fit into a
    pipe (4 KiB). With `whole`, what it started is killed with it when it takes too long or we are interrupted.
    Raises ToolMissingError when there is no such program and CommandError after `timeout` seconds.
    """
    words = _words(argv)
    try:
        with _stdin(input, user) as stdin:
            options = {"env": environment(env), "cwd": cwd, **_identity(user)}
            if whole:
                return _whole(words, input, timeout, options)
            done = subprocess.run(  # noqa: S603, argv only
                words, **stdin, timeout=timeout, capture_output=True, check=False, **options
            )
    except (FileNotFoundError, PermissionError):  # the latter when PATH has a folder that we cannot enter
        raise _missing(words[0]) from None
    except subprocess.TimeoutExpired:
        name = Path(words[0]).name
        raise errors.CommandError(
            f"{name} did not end within {timeout:g} s", "is the machine overloaded?"
        ) from None
    if done.returncode == -signal.SIGKILL:
        raise errors.MachineError(
            f"{Path(words[0]).name} was killed", "the kernel does so when memory is short: free -m"
        )
    return Result(done.returncode, done.stdout, done.stderr)


def _whole(words: Sequence[str], data: bytes, timeout: float | None, options: Mapping[str, Any]) -> Result:
    """Run a program in a process group of its own, which is killed when it does not end in time."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(  # noqa: S603, argv only
        words, stdin=pipe, stdout=pipe, stderr=pipe, process_group=0, **options
    )
    with process:
        try:
            stdout, stderr = process.communicate(data, timeout)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return Result(process.returncode, stdout, stderr)


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


def interactive(
    argv: Sequence[str | Path], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> int:
    """Hand the terminal to a program, such as an editor, and return its exit code."""
    words = [str(word) for word in argv]
    try:
        return subprocess.run(words, env=environment(env), cwd=cwd, check=False).returncode  # noqa: S603
    except FileNotFoundError:
        raise errors.ToolMissingError(f"{words[0]} is not installed", "set EDITOR to one that is") from None
    except OSError as error:  # a folder, or not a program
        what = f"{words[0]} cannot be started, {(error.strerror or '').lower()}"
        raise errors.ToolMissingError(what, "set EDITOR to a program") from None


def attended(
    argv: Sequence[str], *, environ: Mapping[str, str], write: Callable[[int, bytes], None] | None = None
) -> int:
    """Run a person's own command to its end, with all of its environment and our stdin; return its exit code.

    `write` gets what it prints as it comes: 1 for stdout or 2 for stderr, and bytes, none at the end; without it
    the command has the terminal itself. A signal's code is 128 and its number, as of a shell. Raises UsageError
    when it cannot be started.
    """
    words, pipe = _words(argv), subprocess.PIPE if write else None
    try:
        process = subprocess.Popen(words, env=environ, stdout=pipe, stderr=pipe)  # noqa: S603, argv only
    except FileNotFoundError:
        raise errors.UsageError(f"there is no program {words[0]}", "is it installed, and on PATH?") from None
    except OSError as error:
        raise errors.UsageError(f"{words[0]} cannot be started, {error.strerror}", "try it by itself") from None
    with process, _relayed(process):
        streams = [(1, process.stdout), (2, process.stderr)] if write else []
        pumps = [Thread(target=_pump, args=(stream, write, number)) for number, stream in streams]
        for pump in pumps:
            pump.start()
        code = process.wait()
        for pump in pumps:
            pump.join()
    return code if code >= 0 else 128 - code


@contextmanager
def _relayed(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Leave it to a program how it ends: a terminal sends it SIGINT as well, and SIGTERM is passed on."""
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None),
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda number, _: process.send_signal(number)),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _pump(stream: IO[bytes], write: Callable[[int, bytes], None], number: int) -> None:
    """Pass on what a program prints until its end; when nobody reads it, the program is told by its own pipe."""
    with stream, suppress(BrokenPipeError):
        while data := stream.read1(65536):  # type: ignore[attr-defined]
            write(number, data)
        write(number, b"")


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
    if "/" in program:
        return errors.ToolMissingError(f"{program} is not installed", "./run inv --list installs it")
    return errors.ToolMissingError(f"{program} is not installed", "install it as this system does, and see PATH")


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
