"""The options of every task: what --help says of them, and what happens when they are left out."""

import inspect

import pytest
from invoke.main import program

import tasks
from tests.checkouts import ROOT

NAMES = sorted(tasks.namespace.task_names)


def parameters(name: str) -> list[inspect.Parameter]:
    return list(inspect.signature(tasks.namespace[name].body).parameters.values())[1:]


REQUIRED = {name: [each.name for each in parameters(name) if each.default is each.empty] for name in NAMES}


def run(words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run `inv` at the top of this checkout; return the exit code and what it printed."""
    monkeypatch.chdir(ROOT)
    try:
        program.run(["inv", *words])
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    shown = capsys.readouterr()
    return code, shown.out + shown.err


def test_every_task_is_asked() -> None:
    """The list is the whole of `inv --list`, and most tasks require an option."""
    assert 28 == len(NAMES)
    assert 17 == sum(map(bool, REQUIRED.values()))


@pytest.mark.parametrize("name", NAMES)
def test_every_task_has_help(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`inv TASK --help` describes the task, names its options, and ends well."""
    code, shown = run([name, "--help"], monkeypatch, capsys)

    options = [f"--{each.name.replace('_', '-')}" for each in parameters(name)]
    assert 0 == code
    assert f"inv[oke] [--core-opts] {name} " in shown
    assert str(inspect.getdoc(tasks.namespace[name].body)).splitlines()[0] in shown
    assert [] == [option for option in options if option not in shown]


@pytest.mark.parametrize("name", [name for name in NAMES if REQUIRED[name]])
def test_a_required_option_that_is_left_out(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names every option that is missing, the hint all that are required, and the code is 64."""
    code, shown = run([name], monkeypatch, capsys)

    missing = " and ".join(f"--{option}" for option in REQUIRED[name])
    example = " ".join(f"--{option}=…" for option in REQUIRED[name])
    assert (64, f"error: {name} needs {missing}\nhint: inv {name} {example}\n") == (code, shown)


def test_one_required_option_of_two(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Only the one that is missing is named as such."""
    code, shown = run(["set", "--env=dev"], monkeypatch, capsys)

    assert (64, "error: set needs --key\nhint: inv set --env=… --key=…\n") == (code, shown)


def test_an_option_that_does_not_exist(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is refused by its name, without a traceback."""
    code, shown = run(["status", "--envv=dev"], monkeypatch, capsys)

    assert 1 == code
    assert "'--envv'" in shown
    assert "Traceback" not in shown
