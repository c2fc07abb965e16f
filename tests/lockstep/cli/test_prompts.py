import os
import pty
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from ci.ground import dotenv
from ci.ground.repo import Repo
from tests import checkouts


def at_a_terminal(clone: checkouts.Clone, words: list[str], answers: list[str], code: int = 0) -> str:
    """Run `inv` at a terminal of its own, type the answers, and return what the terminal showed."""
    terminal, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "invoke", *words],
        cwd=clone.repo.root,
        env=clone.environ(),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    for answer in answers:
        while not shown.endswith(b"): ") and not shown.endswith(b"PASSWORD: "):
            shown += os.read(terminal, 1)
        os.write(terminal, f"{answer}\n".encode())
        shown += b"\n"
    while True:
        try:
            shown += os.read(terminal, 1000)
        except OSError:  # Linux says so when the other end is gone
            break
    assert code == child.wait()
    os.close(terminal)
    return shown.decode()


def test_set_asks_without_showing(tmp_path: Path) -> None:
    """At a terminal the value is asked for, and what is typed is not shown."""
    clone = checkouts.fixture(tmp_path)
    clone.inv("init", "--name=acme")
    value = secrets.token_urlsafe()
    several = f'"{value}\\n\\t{value}\\n"'

    for typed in (value, several):
        shown = at_a_terminal(clone, ["set", "--env=dev", "--key=SMTP_PASSWORD"], [typed])

        assert "dev SMTP_PASSWORD: " in shown
        assert value not in shown
        assert f"SMTP_PASSWORD={typed}\n" in clone.inv("decrypt", "--env=dev")
    values, _ = dotenv.parse_secrets(clone.inv("decrypt", "--env=dev").encode())
    assert f"{value}\n\t{value}\n" == values["SMTP_PASSWORD"]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("-----BEGIN PRIVATE KEY-----", "the value is the first of several lines, and a prompt reads one"),
        ("{", "the value is the first of several lines, and a prompt reads one"),
        ('"abcdefgh', "the value begins with a double quote and is not a JSON string"),
        (" abcdefgh", "the value begins or ends with a blank"),
    ],
)
def test_a_prompt_refuses_what_it_may_have_misread(tmp_path: Path, typed: str, expected: str) -> None:
    """Of a pasted key file a prompt sees the first line: it is refused, and the fix is named."""
    clone = checkouts.fixture(tmp_path)
    clone.inv("init", "--name=acme")

    shown = at_a_terminal(clone, ["set", "--env=dev", "--key=SMTP_PASSWORD"], [typed], code=24)

    assert f"error: {expected}" in shown
    assert 'give it on stdin (< FILE), or write it in double quotes, as JSON: "line 1\\nline 2"' in shown
    assert typed not in shown or typed == "{"


def test_init_asks_again_after_a_slip(tmp_path: Path) -> None:
    """A bad answer is refused and asked for again; an empty one leaves the key for later."""
    clone = checkouts.fixture(tmp_path)
    wanted = [key for key in clone.repo.schema.secrets() if key.generator("dev") is None]
    good = {key.name: checkouts.value("dev", key) for key in wanted}

    shown = at_a_terminal(clone, ["init", "--name=acme"], ["nonsense", *good.values(), *([""] * len(wanted) * 2)])

    assert "the value of DATABASE_URL is not a URL" in shown
    assert "nonsense" not in shown
    assert "inv set --env=prod --key=REDIS_URL" in shown
    assert "inv set --env=dev" not in shown
    assert "acme" == Repo(clone.repo.root).environments.project
