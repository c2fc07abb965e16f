import os
import sys
from pathlib import Path

import pytest

from ci.ground import command, errors


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_input_and_output_are_bytes() -> None:
    """What goes in through stdin comes back as it is."""
    data = os.urandom(100_000)

    result = command.attempt(python("import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"), input=data)

    assert command.Result(0, data, b"") == result


def test_only_what_is_listed_is_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stray variable of the shell does not reach a program; what is given does."""
    monkeypatch.setenv("SOPS_AGE_RECIPIENTS", "stray")
    monkeypatch.setenv("GIT_DIR", "stray")

    shown = command.run(python("import os; print(sorted(os.environ))"), env={"GIVEN": "1"})

    assert "GIVEN" in shown
    assert "SOPS" not in shown
    assert "GIT_DIR" not in shown


def test_a_failure_shows_the_programs_own_words() -> None:
    """The last lines of stderr are the detail, the exit code is in the message."""
    with pytest.raises(errors.CommandError, match="exit code 3") as caught:
        command.run(python("import sys; print('why', file=sys.stderr); sys.exit(3)"))

    assert ("why",) == caught.value.detail


def test_a_missing_program_is_named() -> None:
    """The message says which program it is."""
    with pytest.raises(errors.ToolMissingError, match="no-such-program is not installed"):
        command.attempt(["no-such-program"])


def test_a_program_that_hangs_is_ended() -> None:
    """After the timeout the program is gone and the message names it."""
    with pytest.raises(errors.CommandError, match="did not end within"):
        command.attempt(python("import time; time.sleep(60)"), timeout=0.2)


def test_the_gateway_shows_nothing_itself(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Only its observer hears of a command, and nothing is printed, whatever LOCKSTEP_VERBOSE says."""
    seen: list[list[str]] = []
    monkeypatch.setenv("LOCKSTEP_VERBOSE", "1")
    monkeypatch.setattr(command, "observer", seen.append)

    command.attempt(python("print(input())"), input=b"a line")

    assert [python("print(input())")] == seen
    assert ("", "") == capfd.readouterr()


def test_the_terminal_is_handed_over(tmp_path: Path) -> None:
    """An interactive program runs where it is told and its exit code comes back."""
    code = command.interactive(
        python("import pathlib, sys; pathlib.Path('made').touch(); sys.exit(4)"), cwd=tmp_path
    )

    assert 4 == code
    assert (tmp_path / "made").exists()


def test_input_reaches_its_end(tmp_path: Path) -> None:
    """A program reads its whole input, also more than a pipe holds, and then the end of it."""
    log = tmp_path / "logs/log"
    count = "import sys; print(len(sys.stdin.buffer.read()))"

    assert command.spawn([sys.executable, "-c", count], input=b"x" * 200_000, log=log).wait() == 0
    assert log.read_text() == "200000\n"
    assert log.stat().st_mode & 0o777 == 0o600


def test_clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program gets what may be inherited and what is given, and nothing else."""
    monkeypatch.setenv("SOPS_AGE_KEY", "stray")
    show = "import os; print(sorted({'SOPS_AGE_KEY', 'ENVIRONMENT', 'PATH'} & set(os.environ)))"

    command.spawn([sys.executable, "-c", show], env={"ENVIRONMENT": "x"}, log=tmp_path / "log").wait()

    assert (tmp_path / "log").read_text() == "['ENVIRONMENT', 'PATH']\n"


def test_reader_that_ends_early(tmp_path: Path) -> None:
    """A program that does not read its input is no error of ours; its exit code is there to see."""
    process = command.spawn(
        [sys.executable, "-c", "raise SystemExit(3)"], input=b"x" * 200_000, log=tmp_path / "log"
    )

    assert process.wait() == 3


def test_no_such_program(tmp_path: Path) -> None:
    """A program that is not there is named."""
    with pytest.raises(errors.ToolMissingError, match="no-such-program is not installed"):
        command.spawn(["no-such-program"], log=tmp_path / "log")
