"""The editors that `inv edit` starts: in a home that is removed afterwards, so that no copy is left.

An editor writes swap, backup, undo and history files where its user's settings say. It gets a home, and a folder
for temporary files, in memory, where it finds no such settings, and the flags that turn them off, for a system can
have settings as well.
"""

import os
import re
import shlex
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from ci.ground import command, errors

_OFF = "set nobackup nowritebackup noundofile noswapfile viminfo="
# vim reads --cmd before its settings and -c after them; -n and -i hold for the file that it opens in between.
_VIM = ["-n", "-i", "NONE", "--cmd", f"silent! {_OFF}", "-c", f"silent! {_OFF}"]
_EMACS = "(setq make-backup-files nil auto-save-default nil auto-save-list-file-prefix nil create-lockfiles nil)"
_FLAGS: Mapping[str, list[str]] = {  # by the name of the program
    r"(?:r?vim?|r?view|ex|vimx|nvim|vimdiff)(?:\.\w+)?": _VIM,
    r"(?:[egm]vim|r?gvim|gview)(?:\.\w+)?": ["-f", *_VIM],
    r"r?nano(?:\.\w+)?": ["--ignorercfiles"],
    r"emacs(?:-[\w.]+)?": ["-Q", "--eval", _EMACS],
    r"code(?:-\w+)?|codium|vscodium|cursor|windsurf": [
        *("--wait", "--new-window", "--disable-extensions", "--sync", "off"),
        *("--user-data-dir", "{home}/user", "--extensions-dir", "{home}/extensions"),
    ],
}
# They hand a file to a process that runs already, with the settings and the folders of its user.
_HANDING_ON = re.compile(
    r"emacsclient(?:\.[\w-]+)?|nvr|subl(?:ime_text)?|mate|zed(?:itor)?|bbedit|gedit|kate|atom"
)


def run(editor: str, file: Path, home: Path) -> None:
    """Open a file in an editor, given as a command line, and wait until it ends; EditError when it fails."""
    program, *flags = _words(editor)
    argv = [program, *(flag.format(home=home) for flag in _quiet(program)), *flags, str(file)]
    code = command.interactive(argv, cwd=file.parent, env=_environment(home))
    if code:
        raise errors.EditError(
            f"the editor {program} ended with {code}, the file is as it was", "set EDITOR to another"
        )


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Have a terminal that closes end us by an exception, so that what is in memory is removed.

    What a person types to interrupt is the editor's alone.
    """

    def end(number: int, _frame: FrameType | None) -> None:
        for each in (signal.SIGHUP, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)  # a second one would stop the removal
        raise SystemExit(128 + number)

    handlers = {signal.SIGHUP: end, signal.SIGTERM: end, signal.SIGINT: _pass, signal.SIGQUIT: _pass}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _pass(_number: int, _frame: FrameType | None) -> None:
    """Do nothing; a program that is started does not inherit it, as it would a signal that is ignored."""


def _words(editor: str) -> list[str]:
    try:
        words = shlex.split(editor)
    except ValueError:
        words = []
    if not words:
        raise errors.EditError("EDITOR is not a command line", "name a program: export EDITOR=nano")
    return words


def _quiet(program: str) -> list[str]:
    """Return the flags for a program, known by its name or by that of the file that a link leads to."""
    found = shutil.which(program)
    names = (Path(program).name, Path(found or program).resolve().name)
    if any(map(_HANDING_ON.fullmatch, names)):
        raise errors.EditError(
            f"{names[0]} edits in a process that runs already, and that may keep a copy on disk",
            "set EDITOR to one that runs by itself, such as vim, nano, emacs or code",
        )
    known = (flags for pattern, flags in _FLAGS.items() for name in names if re.fullmatch(pattern, name))
    return next(known, [])


def _environment(home: Path) -> dict[str, str]:
    """Return the variables by which programs find home and temporary files, and a display its key."""
    folders = ("HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")
    key = os.environ.get("XAUTHORITY") or str(Path.home() / ".Xauthority")
    return dict.fromkeys(folders, str(home)) | {"XAUTHORITY": key}
