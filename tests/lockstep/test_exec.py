"""`inv exec`: a command on this machine with the values of an environment."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from ci.ground import dotenv
from ci.sealing import init
from tests import checkouts

ARGV = "import json, sys; print(json.dumps(sys.argv[1:]))"
ENVIRON = "import json, os; print(json.dumps(dict(os.environ)))"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> checkouts.Clone:
    """A repository that a team has made theirs."""
    made = checkouts.fixture(tmp_path_factory.mktemp("exec"))
    made.inv("init", "--name=acme", text=checkouts.answers(made.repo))
    return made


@pytest.fixture(scope="module")
def sealed(clone: checkouts.Clone) -> dict[str, str]:
    """The sealed values of dev."""
    return dotenv.parse(clone.inv("decrypt", "--env=dev").encode())[0]


def python(clone: checkouts.Clone, program: str, *words: str, options: str = "--env=dev", **run: int | str) -> str:
    """Run a Python program there, and return what it printed on stdout."""
    given = dict(zip(("code", "text"), (run.get("code", 0), run.get("text", "")), strict=True))
    return clone.inv("exec", *options.split(), "--", sys.executable, "-c", program, *words, **given)  # type: ignore[arg-type]


def test_the_words_are_exact(clone: checkouts.Clone) -> None:
    """Blanks, quotes, patterns, line ends and what looks like our own options are the command's."""
    words = ["a  b", "", "'a' \"b\"", "*", "$HOME", "--", "--env=prod", "é\n", "-c"]

    assert words == json.loads(python(clone, ARGV, *words))


def test_stdin_and_the_exit_code_are_its_own(clone: checkouts.Clone) -> None:
    """What comes in reaches the command, and how it ends is how we end."""
    program = "import sys; print(sys.stdin.read().upper()); sys.exit(int(sys.argv[1]))"

    assert "A LINE\n\n" == python(clone, program, "7", text="a line\n", code=7)


def test_the_code_of_a_signal(clone: checkouts.Clone) -> None:
    """A command that a signal ends has the exit code that a shell gives it."""
    clone.inv("exec", "--env=dev", "--", "sh", "-c", "kill -KILL $$", code=137)


def test_it_gets_all_values(clone: checkouts.Clone, sealed: dict[str, str]) -> None:
    """Plain, sealed and defaults are in its environment, beside what the shell has."""
    done = clone.attempt(
        *["exec", "--env=dev", "--no-redact", "--", sys.executable, "-c", ENVIRON],
        environ={"MINE": "1", "LOG_LEVEL": "of the shell"},
    )
    environ = json.loads(done.stdout)

    assert sealed.items() <= environ.items()
    assert {
        "MINE": "1",
        "LOG_LEVEL": "info",
        "ENVIRONMENT": "dev",
        "DELIVERY_ATTEMPTS": "16",
    }.items() <= environ.items()


def test_a_service_gets_its_own(clone: checkouts.Clone) -> None:
    """A key of others is not in its environment, not even from the shell."""
    words = ["exec", "--env=dev", "--service=worker", "--", sys.executable, "-c", ENVIRON]
    environ = json.loads(clone.attempt(*words, environ={"API_TOKENS": "of the shell"}).stdout)

    assert "SMTP_PASSWORD" in environ
    assert not {"API_TOKENS", "PUBLIC_BASE_URL"} & environ.keys()


def test_no_value_is_shown(clone: checkouts.Clone, sealed: dict[str, str]) -> None:
    """On stdout and stderr each sealed value is hidden, in one piece or several, and in its other forms."""
    program = """
import base64, os, sys, time, urllib.parse
for name in sys.argv[1:]:
    value = os.environ[name]
    quoted = urllib.parse.quote(value, safe="")
    print(name, value, quoted, base64.b64encode(value.encode()).decode(), file=sys.stderr, flush=True)
    for character in name + value:
        sys.stdout.write(character)
        sys.stdout.flush()
    print()
"""
    done = clone.attempt("exec", "--env=dev", "--", sys.executable, "-c", program, *sealed)
    shown = (done.stdout + done.stderr).decode()

    assert [f"{name}***" for name in sealed] == done.stdout.decode().splitlines()
    for value in sealed.values():
        assert not [form for form in (value, quote(value, safe="")) if form in shown]
        assert base64.b64encode(value.encode()).decode()[:-4] not in shown


def test_it_is_streamed_and_told_to_end(clone: checkouts.Clone) -> None:
    """A line is seen while the command runs, and SIGTERM reaches the command, which decides how it ends."""
    program = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done"
    child = subprocess.Popen(
        [sys.executable, "-m", "invoke", "exec", "--env=dev", "--", "sh", "-c", program],
        cwd=clone.repo.root,
        env=clone.environ(),
        stdout=subprocess.PIPE,
    )
    assert child.stdout
    with child:
        first = child.stdout.readline()
        child.terminate()

        assert (b"ready\n", 7) == (first, child.wait(30))


def test_nobody_reads_it(clone: checkouts.Clone) -> None:
    """A command whose reader has gone ends as in any pipe, without a word of ours."""
    words = [sys.executable, "-m", "invoke", "exec", "--env=dev", "--", "yes"]
    with subprocess.Popen(
        words, cwd=clone.repo.root, env=clone.environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout
        assert child.stderr
        line = child.stdout.readline()
        child.stdout.close()

        assert (b"y\n", 128 + 13) == (line, child.wait(30))
        assert b"error:" not in child.stderr.read()


def test_this_machine_s_own_environment(clone: checkouts.Clone) -> None:
    """Where the values are of this machine alone, the product's Python is the first on PATH."""
    init.own_values(clone.repo, "local")

    shown = clone.inv("exec", "--env=local", "--", "python", "-c", "import sys; print(sys.prefix)")

    assert Path(shown.strip()).is_relative_to(clone.repo.root / ".local/python")


def test_a_file_that_is_not_a_program(clone: checkouts.Clone, tmp_path: Path) -> None:
    """What the system says of it is said, with the name of the file."""
    path = tmp_path / "script"
    path.write_text("no shebang")
    path.chmod(0o700)

    shown = clone.inv("exec", "--env=dev", "--", str(path), code=64)

    assert f"error: {path} cannot be started, Exec format error" in shown
