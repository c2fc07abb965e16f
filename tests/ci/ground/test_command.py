import os
import secrets
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


def test_the_echo_is_quoted_and_holds_no_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """LOCKSTEP_VERBOSE=1 shows each command as one could paste it, and nothing of stdin or the environment."""
    monkeypatch.setenv("LOCKSTEP_VERBOSE", "1")
    canary = secrets.token_hex()

    command.attempt([sys.executable, "-c", "pass # a b"], input=canary.encode(), env={"SECRET": canary})

    shown = capsys.readouterr().err
    assert f"$ {sys.executable} -c 'pass # a b'\n" == shown


def test_the_terminal_is_handed_over(tmp_path: Path) -> None:
    """An interactive program runs where it is told and its exit code comes back."""
    code = command.interactive(
        python("import pathlib, sys; pathlib.Path('made').touch(); sys.exit(4)"), cwd=tmp_path
    )

    assert 4 == code
    assert (tmp_path / "made").exists()
