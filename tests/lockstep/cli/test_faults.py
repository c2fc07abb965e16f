import secrets
import sys

import pytest

from ci import cli
from ci.ground import command, errors


def test_a_fault_is_shown_with_its_fix(capsys: pytest.CaptureFixture[str]) -> None:
    """First the detail, then error, then hint; the code is the fault's own."""
    with pytest.raises(SystemExit) as caught, cli.reported():
        raise errors.StartError("api ended at its start", "read its log", ["last line"])

    assert errors.StartError.code == caught.value.code
    assert "  | last line\nerror: api ended at its start\nhint: read its log\n" == capsys.readouterr().err


def test_a_bug_shows_its_place_and_no_text(capsys: pytest.CaptureFixture[str]) -> None:
    """The text of a foreign exception can hold a value, so only its kind and place are shown."""
    with pytest.raises(SystemExit) as caught, cli.reported():
        int("a value")

    shown = capsys.readouterr().err
    assert 70 == caught.value.code
    assert "ValueError at test_faults.py:" in shown
    assert "a value" not in shown


def test_a_bug_shows_itself_when_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """LOCKSTEP_DEBUG=1 shows the traceback, and the code stays the same."""
    monkeypatch.setenv("LOCKSTEP_DEBUG", "1")

    with pytest.raises(SystemExit) as caught, cli.reported():
        int("x")

    assert 70 == caught.value.code
    assert "ValueError: invalid literal" in capsys.readouterr().err


def test_an_interrupt_is_not_a_fault(capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C ends with 130 and no traceback."""
    with pytest.raises(SystemExit) as caught, cli.reported():
        raise KeyboardInterrupt

    assert 130 == caught.value.code
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(("verbose", "expected"), [("1", f"$ {sys.executable} -c 'pass # a b'\n"), ("", "")])
def test_the_echo_is_quoted_and_holds_no_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verbose: str, expected: str
) -> None:
    """LOCKSTEP_VERBOSE=1 shows each command as one could paste it, and nothing of stdin or the environment."""
    monkeypatch.setenv("LOCKSTEP_VERBOSE", verbose)
    marker = secrets.token_hex()

    with cli.reported():
        command.attempt([sys.executable, "-c", "pass # a b"], input=marker.encode(), env={"SECRET": marker})

    assert expected == capsys.readouterr().err


def test_text_for_other_programs_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """What a fault hands to another program, such as SQL, is on stdout as it is, and nothing else is."""
    with pytest.raises(SystemExit), cli.reported():
        raise errors.ProviderError("no right to do it", "give it to an administrator", output="ALTER ROLE a;\n")

    assert "ALTER ROLE a;\n" == capsys.readouterr().out
