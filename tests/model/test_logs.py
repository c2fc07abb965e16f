import json
import logging
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

import runtime
from model import logs
from tests import services

HIDDEN = "x" + secrets.token_hex()


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """The log is the whole process's; what a test sets goes back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in logs.QUIET}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()


def configured(**values: str) -> None:
    environ = services.environment("postgresql://u:p@127.0.0.1/d", "redis://127.0.0.1/0", **values)
    logs.configure(runtime.load("api", environ), "api", "abc1234", 7)


def failing() -> None:
    try:
        int(HIDDEN)
    except ValueError as cause:
        raise ValueError(HIDDEN) from cause


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_json_line_names_its_release(capsys: pytest.CaptureFixture[str]) -> None:
    """Service, environment, commit and release stand in every line, whoever wrote it and in which thread."""
    configured(LOG_FORMAT="json")
    structlog.get_logger("ours").info("one", n=1)
    logging.getLogger("theirs").warning("two of %s", 3)

    found = lines(capsys)

    origin = {"service": "api", "environment": "test", "sha": "abc1234", "release": 7}
    assert [origin, origin] == [{name: line[name] for name in origin} for line in found]
    assert [("one", "info", "ours"), ("two of 3", "warning", "theirs")] == [
        (line["event"], line["level"], line["logger"]) for line in found
    ]


def test_a_json_line_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Line feeds in an event and a traceback stay inside their line."""
    configured(LOG_FORMAT="json")
    try:
        failing()
    except ValueError:
        structlog.get_logger("ours").exception("a\nb")

    [line] = lines(capsys)

    assert "a\nb" == line["event"]
    assert __file__ in line["exception"].splitlines()[0]
    assert "ValueError" == line["exception"].splitlines()[-1]


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_traceback_does_not_tell_what_an_exception_says(capsys: pytest.CaptureFixture[str], form: str) -> None:
    """It may repeat a message or an address: an exception's class and its place are enough, its causes' too."""
    configured(LOG_FORMAT=form)
    try:
        failing()
    except ValueError:
        structlog.get_logger("ours").exception("one")
        logging.getLogger("theirs").exception("two")

    out = capsys.readouterr().out

    assert 2 <= out.count("ValueError")
    assert HIDDEN not in out


def test_a_text_line_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """Text holds the event and its values, no colours and no braces."""
    configured(LOG_FORMAT="text")
    structlog.get_logger("ours").info("one", n=1)

    out = capsys.readouterr().out

    assert "one" in out
    assert "n=1" in out
    assert not {"\x1b", "{"} & set(out)


def test_the_level_is_a_floor(capsys: pytest.CaptureFixture[str]) -> None:
    """Below LOG_LEVEL nothing is written."""
    configured(LOG_LEVEL="warning")
    structlog.get_logger("ours").info("quiet")
    structlog.get_logger("ours").warning("loud")

    assert ["loud"] == [line["event"] for line in lines(capsys)]


@pytest.mark.parametrize("name", ["httpx", "twilio", "urllib3"])
def test_libraries_do_not_tell_contents(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """Not even at the level debug: they would log addresses."""
    configured(LOG_LEVEL="debug")
    logging.getLogger(f"{name}.part").info("POST /secret")

    assert [] == lines(capsys)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("+14155550123", "+14***23"),
        ("anna.schmidt@example.com", "a***@example.com"),
        ("", "***"),
    ],
)
def test_masked(address: str, expected: str) -> None:
    """An address in the log is enough to find a case, not a person."""
    assert expected == logs.masked(address)
