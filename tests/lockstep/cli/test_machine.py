"""What a machine lacks is told as that, with a fix: by every task as a fault of its own, by every gate with 2."""

import errno
import os
import resource
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from ci.ground import command, errors, files, git, machine
from ci.sealing import edit, identity
from tests import checkouts

GATES = ("leaks", "parity", "sealing", "rotation")
LIST, DECRYPT = ("invoke", "recipients.list"), ("invoke", "decrypt", "--env=nowhere")
SET = ("invoke", "set", "--env=dev", "--key=SMTP_PASSWORD")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> checkouts.Clone:
    made = checkouts.fixture(tmp_path_factory.mktemp("machine"))
    made.inv("init", "--name=acme", text=checkouts.answers(made.repo))
    return made


def run(
    clone: checkouts.Clone,
    *words: str,
    redirect: str = "",
    before: Callable[[], None] | None = None,
    flags: tuple[str, ...] = (),
    environ: Mapping[str, str] = MappingProxyType({}),
) -> tuple[int, str]:
    """Run a module with its streams redirected as a shell does; return the code, and what it says of a fault."""
    line = f'exec "$0" {" ".join(flags)} -m "$@" {redirect}'
    done = subprocess.run(
        ["/bin/sh", "-c", line, sys.executable, *words],
        input=secrets.token_urlsafe().encode(),
        cwd=clone.repo.root,
        env=clone.environ() | dict(environ),
        preexec_fn=before,
        capture_output=True,
        timeout=180,
        check=False,
    )
    said = (done.stderr + done.stdout).decode(errors="replace")
    assert "Traceback" not in said, said
    assert "a bug in" not in said, said
    return done.returncode, said


# Terminals


ENCODINGS: list[dict[str, str]] = [
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "latin-1"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
]


@pytest.mark.parametrize("environ", ENCODINGS)
@pytest.mark.parametrize("words", [("invoke", "--list"), LIST, *((f"ci.gates.{gate}",) for gate in GATES)])
def test_a_terminal_that_is_not_utf_8(
    clone: checkouts.Clone, environ: dict[str, str], words: tuple[str, ...]
) -> None:
    """It shows other signs for the letters that it lacks."""
    assert run(clone, *words, environ=environ)[0] in {0, 1}


def test_signs_of_a_terminal_that_is_not_utf_8(clone: checkouts.Clone) -> None:
    """The tick is a plus, and the dots are three."""
    _, sealed = run(clone, *SET, environ=ENCODINGS[0])
    code, unknown = run(clone, *DECRYPT, environ=ENCODINGS[0])

    assert sealed.startswith("+ sealed ")
    assert (64, True) == (code, unknown.endswith("--env=...\n"))


# Streams


@pytest.mark.parametrize("words", [("invoke", "--list"), ("invoke", "set", "--help"), LIST])
def test_a_task_that_cannot_print(clone: checkouts.Clone, words: tuple[str, ...]) -> None:
    """A full disk behind stdout is named, also when it is Invoke that prints."""
    code, said = run(clone, *words, redirect=">/dev/full")

    assert (52, True) == (code, said.startswith("error: no space left on device"))


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("redirect", [">/dev/full", ">&-", ">/dev/full 2>/dev/full", "<&- >&- 2>&-"])
def test_a_gate_that_cannot_print(clone: checkouts.Clone, gate: str, redirect: str) -> None:
    """What it found has not been told, so it could not run."""
    assert 2 == run(clone, f"ci.gates.{gate}", redirect=redirect)[0]


@pytest.mark.parametrize(
    "words",
    [
        SET,
        ("invoke", "encrypt", "--env=dev"),
        ("invoke", "propose", "--env=dev", "--key=SMTP_PASSWORD"),
        ("invoke", "leaked"),
    ],
    ids=" ".join,
)
def test_a_closed_stdin(clone: checkouts.Clone, words: tuple[str, ...]) -> None:
    """Nothing came in, which is not an empty value."""
    code, said = run(clone, *words, redirect="<&-")

    assert (24, True) == (code, said.startswith("error: stdin is closed, nothing came in\nhint: "))


def test_a_closed_stdout(clone: checkouts.Clone) -> None:
    """A result that has nowhere to go is a fault."""
    code, said = run(clone, *LIST, redirect=">&-")

    assert (15, True) == (code, said.startswith("error: stdout is closed"))


def test_a_closed_stderr(clone: checkouts.Clone, tmp_path: Path) -> None:
    """What belongs there does not get into the result instead."""
    code, _ = run(clone, *DECRYPT, redirect=f"2>&- >{tmp_path}/out")

    assert (64, "") == (code, (tmp_path / "out").read_text())


def test_a_command_of_a_person_has_open_streams(clone: checkouts.Clone) -> None:
    """A file that we open does not become its stdin."""
    assert 0 == run(clone, "invoke", "exec", "--env=dev", "--", "cat", redirect="<&-")[0]


# Limits


def test_a_file_that_cannot_be_written(clone: checkouts.Clone) -> None:
    """It stays as it was, and nothing is left beside it."""
    folder = clone.repo.root / "secrets"
    before = {path: path.read_bytes() for path in folder.iterdir()}
    code, said = run(clone, *SET, before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512)))

    assert (15, True) == (code, said.startswith("error: file too large"))
    assert before == {path: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("gate", ["leaks", "sealing", "parity"])
@pytest.mark.parametrize("most", [4, 6])
def test_a_gate_that_may_not_open_files(clone: checkouts.Clone, gate: str, most: int) -> None:
    """It could not run, whether it is a module or git that cannot be opened."""
    code, said = run(
        clone, f"ci.gates.{gate}", before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    )

    assert 2 == code
    assert "error: too many open files" in said
    assert "ulimit -n 4096" in said


@pytest.mark.parametrize("gate", GATES)
def test_a_gate_without_its_packages(clone: checkouts.Clone, gate: str) -> None:
    """Another Python than that of ./run could not look, and 1 would mean findings."""
    code, said = run(clone, f"ci.gates.{gate}", flags=("-S",))

    assert 2 == code
    assert said.startswith("error: the Python package ")
    assert "hint: run it in Lockstep's own environment" in said


@pytest.mark.parametrize("path", ["", "/nonexistent"])
def test_a_gate_without_git(clone: checkouts.Clone, path: str) -> None:
    """It says what is missing; ./run installs no git."""
    code, said = run(clone, "ci.gates.leaks", environ={"PATH": path})

    assert (2, True) == (code, said.startswith("error: git is not installed\nhint: install it"))


@pytest.mark.parametrize(
    ("error", "kind", "message", "hint"),
    [
        (OSError(errno.ENOSPC, "x", "a/b"), errors.DiskFullError, "x: a/b", "df -h"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), errors.DiskFullError, "disk quota exceeded", "quota"),
        (OSError(errno.EROFS, "x", b"a/b"), errors.MachineError, "x: a/b", "may be written to"),
        (
            PermissionError(errno.EACCES, "Permission denied", "a"),
            errors.MachineError,
            "permission denied: a",
            "id ",
        ),
        (BlockingIOError(errno.EAGAIN, "x"), errors.MachineError, "x", "ulimit -u"),
        (OSError(errno.ENOMEM, "x"), errors.MachineError, "x", "memory"),
        (OSError(errno.EIO, None), errors.MachineError, "input/output error", "LOCKSTEP_DEBUG=1"),
        (MemoryError(), errors.MachineError, "there is no memory left", "memory"),
    ],
)
def test_a_fault_of_the_machine(
    error: Exception, kind: type[errors.LockstepError], message: str, hint: str
) -> None:
    """What the system says, the path that it is about, and what helps."""
    fault = machine.fault(error)

    assert fault
    assert (kind, message) == (type(fault), str(fault))
    assert hint in fault.hint


@pytest.mark.parametrize("error", [ValueError("x"), OSError("x"), KeyError("x")])
def test_an_exception_that_is_not_the_machines(error: Exception) -> None:
    """It stays a bug, and is not told as something else."""
    assert machine.fault(error) is None


def test_a_program_that_is_killed() -> None:
    """The kernel ends the largest process when memory is short; that says nothing of a sealed file."""
    with pytest.raises(errors.MachineError, match="sh was killed"):
        command.attempt(["sh", "-c", "kill -KILL $$"])


def test_a_full_disk_while_a_file_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the path that was meant, and the half of a file is gone."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("ci.ground.files.os.fsync", full)

    with pytest.raises(OSError, match="No space left") as caught:
        files.replace(tmp_path / "a", b"x")

    assert (str(tmp_path / "a"), []) == (caught.value.filename, list(tmp_path.iterdir()))


# Users


@pytest.fixture
def _nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without a name and a home, such as a container's arbitrary one."""

    def unknown(_: int) -> None:
        raise KeyError("getpwuid(): uid not found")

    for name in ("HOME", "XDG_CONFIG_HOME", "USER", "LOGNAME", "LNAME", "USERNAME", identity.VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)


@pytest.mark.usefixtures("_nobody")
def test_a_user_without_a_home(clone: checkouts.Clone) -> None:
    """LOCKSTEP_IDENTITY is enough; without it the message says what is missing, and where an identity may be."""
    one = f"AGE-SECRET-KEY-1{'Q' * 58}"

    assert one == identity.at_hand(clone.repo, "dev", {identity.VARIABLE: one}).reveal()
    with pytest.raises(errors.NoIdentityError, match="this user has no home folder") as caught:
        identity.at_hand(clone.repo, "dev")
    assert "LOCKSTEP_IDENTITY" in caught.value.hint
    with pytest.raises(errors.MachineError, match="no home folder"):
        identity.path(clone.repo, "dev", environ={})


@pytest.mark.usefixtures("_nobody")
def test_a_user_without_a_name() -> None:
    """A record has the number instead."""
    assert f"user {os.getuid()}" == machine.user()


def test_a_checkout_of_another_user(clone: checkouts.Clone) -> None:
    """The hint has git's own setting, with the path."""
    other = git.Git(clone.repo.root, {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}, own=True)

    with pytest.raises(errors.GateError) as caught:
        other("status")

    assert caught.value.hint.endswith(f"git config --global --add safe.directory {clone.repo.root}")


@pytest.mark.parametrize(
    ("editor", "kind", "message"),
    [
        ("   ", errors.EditError, "EDITOR is not a command line"),
        ("vi '", errors.EditError, "EDITOR is not a command line"),
        ("no-such-editor", errors.ToolMissingError, "no-such-editor is not installed"),
        ("/", errors.ToolMissingError, "/ cannot be started, permission denied"),
        ("'a b' c", errors.ToolMissingError, "a b is not installed"),
        ("false", errors.EditError, "the editor false ended with 1, the file is as it was"),
    ],
)
def test_an_odd_editor(tmp_path: Path, editor: str, kind: type[errors.LockstepError], message: str) -> None:
    """It is told as what it is, and nothing is changed."""
    repo = checkouts.initialised(tmp_path / "repo")
    before = repo.sealed("dev").read_bytes()

    with pytest.raises(kind) as caught:
        edit.edit(repo, "dev", editor)

    assert (message, before) == (str(caught.value), repo.sealed("dev").read_bytes())
