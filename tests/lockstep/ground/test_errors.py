import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import ci
from ci.ground import errors


def every(kind: type[errors.LockstepError]) -> Iterator[type[errors.LockstepError]]:
    yield kind
    for one in kind.__subclasses__():
        yield from every(one)


def test_exit_codes_are_unique() -> None:
    """A script can tell every fault apart, and none looks like clean, findings or a plan's changes."""
    for module in pkgutil.walk_packages(ci.__path__, "ci."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    codes = [kind.code for kind in every(errors.LockstepError)]

    assert len(codes) == len(set(codes))
    assert not {0, 1, 3} & set(codes)
    assert max(codes) < 126


def test_a_fault_is_told_with_its_cure(capsys: pytest.CaptureFixture[str]) -> None:
    """First the detail, then error, then hint; the code is the fault's own."""
    with pytest.raises(SystemExit) as caught, errors.reported():
        raise errors.StartError("api ended at its start", "read its log", ["last line"])

    assert errors.StartError.code == caught.value.code
    assert "  | last line\nerror: api ended at its start\nhint: read its log\n" == capsys.readouterr().err


def test_a_bug_tells_its_place_and_no_text(capsys: pytest.CaptureFixture[str]) -> None:
    """The text of a foreign exception can hold a value, so only its kind and place are told."""
    with pytest.raises(SystemExit) as caught, errors.reported():
        int("a value")

    shown = capsys.readouterr().err
    assert 70 == caught.value.code
    assert "ValueError at test_errors.py:" in shown
    assert "a value" not in shown


def test_a_bug_shows_itself_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """LOCKSTEP_DEBUG=1 lets the traceback through."""
    monkeypatch.setenv("LOCKSTEP_DEBUG", "1")

    with pytest.raises(ValueError, match="invalid literal"), errors.reported():
        int("x")


def test_an_interrupt_is_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C ends with 130 and no traceback."""
    with pytest.raises(SystemExit) as caught, errors.reported():
        raise KeyboardInterrupt

    assert 130 == caught.value.code
    assert "Traceback" not in capsys.readouterr().err
