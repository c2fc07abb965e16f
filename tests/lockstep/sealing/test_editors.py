"""Real editors on a real terminal, with the settings of people who have backups, undo and history."""

import os
import pty
import secrets
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ci.cli import prompts
from ci.ground import errors
from ci.ground.repo import Repo
from ci.sealing import edit, editors, environment
from tests import checkouts

DEV = "dev"
# What editors leave by the settings of their users: below HOME, among temporary files, in XDG's folders.
KEEPING = """
import os, pathlib, sys
text = pathlib.Path(sys.argv[-1]).read_bytes()
places = [os.environ[name] for name in ("HOME", "TMPDIR") if name in os.environ]
for place in [*places, *(value for name, value in os.environ.items() if name.startswith("XDG_"))]:
    folder = pathlib.Path(place) / ".config/history"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "copy").write_bytes(text)
pathlib.Path(sys.argv[-1] + "~").write_bytes(text)
"""
RUN = """
import sys
from pathlib import Path
from ci.ground.repo import Repo
from ci.sealing import edit
edit.edit(Repo(Path(sys.argv[1])), "dev", sys.argv[2])
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the home of a person whose vim keeps backups, undo files and registers."""
    folder = tmp_path / "person"
    for name in ("undo", "bak", "swap", "tmp"):
        (folder / name).mkdir(parents=True)
    (folder / ".vimrc").write_text(
        f"set undofile undodir={folder}/undo backup writebackup backupdir={folder}/bak swapfile\n"
        f"set directory={folder}/swap viminfofile={folder}/info viminfo='100,<50,s10,h\n"
        f"autocmd BufWritePost * silent! execute 'write! {folder}/copy'\n"
    )
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder / "tmp"))
    return folder


def leftovers(value: str, *folders: Path) -> list[Path]:
    """Return the files that hold a value, in these folders and in memory."""
    paths = [path for folder in (*folders, Path("/dev/shm")) for path in folder.rglob("*")]
    return [path for path in paths if path.is_file() and value.encode() in path.read_bytes()]


def at_terminal(repo: Repo, editor: str) -> subprocess.Popen[bytes]:
    """Start an edit as the leader of a terminal of its own, which ends when the other side is closed."""
    master, slave = pty.openpty()
    program = [sys.executable, "-c", RUN, str(repo.root), editor]
    env = {**os.environ, "PYTHONPATH": str(checkouts.ROOT), "TERM": "xterm"}
    process = subprocess.Popen(
        program, stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True, cwd=checkouts.ROOT
    )
    os.close(slave)
    process.terminal = master  # type: ignore[attr-defined]
    return process


def test_vim_leaves_no_copy(repo: Repo, home: Path) -> None:
    """Undo, backup, swap, registers and what a vimrc runs after a write: none of it holds a value."""
    before, after = environment.sealed(repo, DEV)["SMTP_PASSWORD"].reveal(), secrets.token_hex(16)

    process = at_terminal(repo, f"vim -c '%s/{before}/{after}/' -c wq")
    assert 0 == process.wait(60)

    assert after == environment.sealed(repo, DEV)["SMTP_PASSWORD"].reveal()
    assert [] == leftovers(before, home) + leftovers(after, home)


def test_an_editor_that_keeps_copies_keeps_them_in_memory(repo: Repo, home: Path, tmp_path: Path) -> None:
    """Whatever it writes below home, beside the file or to a temporary folder is gone when it ends."""
    program = tmp_path / "keeping.py"
    program.write_text(KEEPING)

    edit.edit(repo, DEV, f"{sys.executable} {program}")

    assert [] == leftovers(environment.sealed(repo, DEV)["SMTP_PASSWORD"].reveal(), home, repo.root)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_terminal_that_closes_leaves_no_copy(repo: Repo, home: Path, tmp_path: Path, number: int) -> None:
    """The editor is ended, and the folder in memory is removed."""
    program, ready = tmp_path / "waiting.py", tmp_path / "ready"
    program.write_text(f"{KEEPING}\nimport time\npathlib.Path({str(ready)!r}).touch()\ntime.sleep(600)\n")
    value = environment.sealed(repo, DEV)["SMTP_PASSWORD"].reveal()

    process = at_terminal(repo, f"{sys.executable} {program}")
    while not ready.exists():
        assert process.poll() is None
        time.sleep(0.05)
    assert leftovers(value, home)  # in memory, while it is edited
    process.send_signal(number)

    assert 128 + number == process.wait(30)
    assert [] == leftovers(value, home, repo.root)


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("vim", "noundofile"),
        ("vim.basic", "noundofile"),
        ("nvim", "noundofile"),
        ("gvim", "-f"),
        ("nano", "--ignorercfiles"),
        ("emacs", "auto-save-default nil"),
        ("emacs-29.1", "-Q"),
        ("code", "--wait"),
        ("codium", "--user-data-dir"),
    ],
)
def test_a_known_editor_is_told_to_keep_no_copy(repo: Repo, tmp_path: Path, name: str, flags: str) -> None:
    """Known by its own name, or by the name that a link leads to; its user's own flags come after."""
    program, told = tmp_path / name, tmp_path / "told"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{told}\n')
    program.chmod(0o755)
    (tmp_path / "editor").symlink_to(program)

    edit.edit(repo, DEV, f"{program} --mine")
    direct = told.read_text()
    edit.edit(repo, DEV, str(tmp_path / "editor"))

    assert flags in direct
    assert flags in told.read_text()
    assert ["--mine"] == direct.splitlines()[-2:-1]


@pytest.mark.parametrize("name", ["emacsclient", "subl", "gedit", "nvr"])
def test_an_editor_that_hands_the_file_on_is_refused(repo: Repo, tmp_path: Path, name: str) -> None:
    """The process that edits was started before, with settings that we cannot know."""
    shutil.copy("/bin/true", tmp_path / name)

    with pytest.raises(errors.EditError, match="runs already"):
        edit.edit(repo, DEV, str(tmp_path / name))


@pytest.mark.parametrize("editor", ["", " ", "vim '", "/", "/etc/passwd"])
def test_what_cannot_be_an_editor(repo: Repo, editor: str) -> None:
    """An odd EDITOR is named, and is not a bug."""
    with pytest.raises((errors.EditError, errors.ToolMissingError)):
        edit.edit(repo, DEV, editor)


def test_an_editor_that_takes_the_file_away(repo: Repo) -> None:
    """The sealed file stays as it was."""
    before = repo.sealed(DEV).read_bytes()

    with pytest.raises(errors.EditError, match="left no file"):
        edit.edit(repo, DEV, "rm")

    assert before == repo.sealed(DEV).read_bytes()


def test_without_a_terminal_nothing_is_edited() -> None:
    """In a pipe an editor would print the secrets into a log."""
    with pytest.raises(errors.EditError, match="no terminal"):
        prompts.require_terminal(DEV)


def test_keys_that_interrupt_are_the_editors() -> None:
    """Ctrl-C reaches both of us, and ends neither."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    with editors.ended_by_signals():
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, before)
