"""Every task, as a user runs it: what it says and how it ends when what it is given is wrong."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci.ground import dotenv
from tests import checkouts
from tests.lockstep.sealing import vaults

PASSWORD = "SMTP_PASSWORD"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> checkouts.Clone:
    made = checkouts.fixture(tmp_path_factory.mktemp("tasks"))
    made.inv("init", "--name=acme", text=checkouts.answers(made.repo))
    path = made.repo.root / "config/environments.yaml"
    nowhere = "      docker: unix:///nonexistent.sock\n      proxy: {port: 8083"
    path.write_text(path.read_text().replace("      proxy: {port: 8083", nowhere))
    return made


@pytest.fixture
def untouched(clone: checkouts.Clone) -> Iterator[None]:
    """Whatever fails leaves the checkout as it was."""

    def tree() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in clone.repo.root.glob("*/*") if path.is_file()}

    before = tree()
    yield
    assert before == tree()


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("words", "text", "code", "expected"),
    [
        ("init", "", 26, "this repository is acme's already"),
        ("init --name=other", "", 26, "this repository is acme's already"),
        ("set --env=prd --key=SMTP_PASSWORD", "abcdefgh", 64, "no environment prd"),
        ("set --env= --key=SMTP_PASSWORD", "abcdefgh", 64, "no environment given"),
        ("set --env=../dev --key=SMTP_PASSWORD", "abcdefgh", 64, "no environment ../dev"),
        ("set --env=dev --key=NO_SUCH_KEY", "abcdefgh", 25, "no key NO_SUCH_KEY in the schema"),
        ("set --env=dev --key=smtp_pasword", "abcdefgh", 25, "did you mean SMTP_PASSWORD?"),
        ("set --env=dev --key=LOG_LEVEL", "debug", 25, "write it into config/dev.env"),
        ("set --env=dev --key=SMTP_PASSWORD", "", 24, "SMTP_PASSWORD is empty"),
        ("set --env=dev --key=SMTP_PASSWORD", "a nul\0 in it", 24, "holds a NUL"),
        ("set --env=dev --key=SMTP_PASSWORD", "x\n" * 32_769, 24, "is longer than 65,536 bytes"),
        ("set --env=dev --key=SMTP_PASSWORD", "a", 25, "is shorter than 8 characters"),
        ("set --env=dev --key=DATABASE_URL", "mysql://h/d", 25, "looks like postgresql://"),
        ("unset --env=dev --key=SMTP_PASSWORD", "", 25, "SMTP_PASSWORD is required"),
        ("unset --env=prd --key=SMTP_PASSWORD", "", 64, "no environment prd"),
        ("encrypt --env=dev", "", 24, "nothing came in"),
        ("encrypt --env=dev", "SMTP_PASSWORD", 24, "  | line 1: is not KEY=value"),
        (
            "encrypt --env=dev",
            'SMTP_PASSWORD="two\nlines"',
            24,
            "hint: one KEY=value a line; what such a line cannot",
        ),
        ("encrypt --env=dev", "LOG_LEVEL=debug\n", 25, "LOG_LEVEL is not secret"),
        ("encrypt --env=prd", "SMTP_PASSWORD=abcdefgh\n", 64, "no environment prd"),
        ("decrypt --env=prd", "", 64, "no environment prd"),
        ("decrypt --env=local", "", 23, "local.enc.env is not there"),
        ("edit --env=prd", "", 64, "no environment prd"),
        ("propose --env=prd --key=SMTP_PASSWORD", "abcdefgh", 64, "prd is no environment with recipients"),
        ("propose --env=dev --key=SMTP_PASSWORD", "a", 25, "is shorter than 8 characters"),
        ("accept --env=local", "", 64, "local is no environment with recipients"),
        ("recipients.list --env=prd", "", 64, "prd is no environment with recipients"),
        ("recipients.add --env=dev --recipient=age1", "", 28, "no recipient of age's own kinds"),
        ("recipients.remove --env=dev", "", 64, "no recipient given"),
        ("recipients.remove --env=dev --name=Bob", "", 28, "none of the recipients is called so"),
        ("recipients.remove --env=dev --recipient=age1", "", 28, "is the last recipient of dev"),
        ("keys.rotate --env=dev --finish", "", 20, "inv keys.rotate --env=dev makes it first"),
        ("deploy --env=prd", "", 64, "no environment prd"),
        ("deploy --env=prod", "", 48, "no docker engine answers at unix:///nonexistent.sock"),
        ("promote --to=prd", "", 64, "no environment prd"),
        ("rollback --env=prd", "", 64, "no environment prd"),
        ("rollback --env=local", "", 64, "local runs the working tree, not an image"),
        ("rotation.status --env=prd", "", 64, "no environment prd"),
        ("rotation.status --env=local", "", 64, "local is not in git"),
        ("leaked", "abcdefg\n", 25, "the value is shorter than 8 characters"),
        ("history --env=prd", "", 64, "no environment prd"),
        ("drift --env=prd", "", 64, "no environment prd"),
        ("drift --env=local", "", 45, "local has no release"),
        ("run --env=prd --job=migrate", "", 64, "no environment prd"),
        ("run --env=local --job=migrate", "", 45, "local has no release"),
        ("run --env=local -- true", "", 64, "no service and no job given"),
        ("run --env=local --service=api --job=migrate", "", 64, "both a service and a job are given"),
        ("run --env=local --service=api", "", 64, "no command to run"),
        ("exec --env=prd -- true", "", 64, "no environment prd"),
        ("exec --env=dev", "", 64, "no command to run"),
        ("exec --env=dev --", "", 64, "no command to run"),
        ("exec --env=dev --service=sandbox -- true", "", 64, "dev has no service or job sandbox"),
        ("exec --env=dev -- no-such-program", "", 64, "there is no program no-such-program"),
        ("exec --env=dev -- /etc", "", 64, "/etc cannot be started, Permission denied"),
        ("exec --env=local -- true", "", 23, "local has no values yet"),
        ("unlock --env=prd", "", 64, "no environment prd"),
        ("status --env=prd", "", 64, "no environment prd"),
        ("status", "", 45, "local does not run"),
        ("logs --env=prd", "", 64, "no environment prd"),
        ("logs", "", 45, "no log of local"),
        ("logs --service=../x", "", 45, "no log of ../x"),
        ("stop --env=prd", "", 64, "no environment prd"),
    ],
)
def test_bad_input_is_told_with_its_cure(
    clone: checkouts.Clone, words: str, text: str, code: int, expected: str
) -> None:
    """One error, one hint, its own exit code, no traceback, and nothing changed."""
    shown = clone.inv(*words.split(), text=text, code=code)

    assert expected in shown
    assert 1 == shown.count("error: ")
    assert 1 == shown.count("hint: ")
    assert "Traceback" not in shown


def test_input_that_is_not_utf_8(clone: checkouts.Clone) -> None:
    """Bytes that are no text are refused, not mangled."""
    shown = clone.inv("set", "--env=dev", f"--key={PASSWORD}", text="abcdefgh\udcff", code=24)

    assert "stdin is not UTF-8" in shown


@pytest.mark.parametrize(
    "value", ["p%40ss%s", "$HOME${X}", "#hash # more", "a=b==", "two  words", "it's", "pässwörd", "x" * 10_000]
)
def test_a_value_comes_back_as_it_went_in(clone: checkouts.Clone, value: str) -> None:
    """What goes in at set comes out at decrypt; one line end after the value is not part of it."""
    value += secrets.token_urlsafe(8)

    clone.inv("set", "--env=dev", f"--key={PASSWORD}", text=f"{value}\n")

    assert f"{PASSWORD}={value}\n" in clone.inv("decrypt", "--env=dev")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{v}\n", "{v}"),
        ("{v}\r\n", "{v}"),
        ("{v}\r", "{v}\r"),
        (" {v} \n", " {v} "),
        ('"{v}"\n', '"{v}"'),
        ("{v}\\n\n", "{v}\\n"),
        ("-----BEGIN\n\t{v}\n-----END\n", "-----BEGIN\n\t{v}\n-----END\n"),
        ("-----BEGIN\r\n{v}\r\n-----END\r\n", "-----BEGIN\r\n{v}\r\n-----END\r\n"),
        ("{v}\n\n", "{v}\n\n"),
        ("\n{v}", "\n{v}"),
    ],
)
def test_several_lines_are_kept_byte_for_byte(clone: checkouts.Clone, text: str, expected: str) -> None:
    """The end of a single line alone is not part of the value; decrypt writes the rest so that it can be read."""
    value = secrets.token_urlsafe(8)

    clone.inv("set", "--env=dev", f"--key={PASSWORD}", text=text.replace("{v}", value))

    values, problems = dotenv.parse_secrets(clone.inv("decrypt", "--env=dev").encode())
    assert [] == problems
    assert expected.replace("{v}", value) == values[PASSWORD]


def test_decrypt_says_nothing_but_the_lines(clone: checkouts.Clone) -> None:
    """What decrypt prints is what encrypt takes."""
    lines = clone.inv("decrypt", "--env=staging")

    clone.inv("encrypt", "--env=staging", text=lines)

    assert lines == clone.inv("decrypt", "--env=staging")


def test_a_leaked_value_is_found_and_not_shown(clone: checkouts.Clone) -> None:
    """It comes on stdin; where it is, and what to do, is told, and the exit code is 1."""
    lines = clone.inv("decrypt", "--env=staging").splitlines()
    [value] = [line.partition("=")[2] for line in lines if line.startswith(PASSWORD)]

    shown = clone.inv("leaked", text=f"{value}\n", code=1)

    assert f"environment  staging  {PASSWORD} in secrets/staging.enc.env\n" in shown
    assert f"next: inv rotate --env=staging --key={PASSWORD} --leaked\n" in shown
    assert value not in shown


def test_ages_are_shown(clone: checkouts.Clone) -> None:
    """A table with a row for each sealed key of the environment, from the day of `inv init` on."""
    shown = clone.inv("rotation.status", "--env=prod").splitlines()

    assert "environment  key                   age  due" == shown[0].partition("  changed")[0].rstrip()
    assert 5 == sum(line.startswith("prod ") and " 0 d " in line for line in shown[1:])


def test_stop_where_nothing_runs(clone: checkouts.Clone) -> None:
    """To stop what is stopped is no fault."""
    assert "" == clone.inv("stop")


def test_the_list_of_tasks(clone: checkouts.Clone) -> None:
    """Every task is listed with what it does."""
    shown = clone.inv("--list")

    tasks = [line.split()[0] for line in shown.splitlines() if line.startswith("  ") and line[2] != " "]
    first = "accept build decrypt deploy drift edit encrypt exec history init leaked logs parity promote propose"
    second = "rollback rotate run set status stop unlock unset"
    grouped = "keys.rotate recipients.add recipients.list recipients.remove rotation.status"
    assert f"{first} {second} {grouped}".split() == tasks


@pytest.mark.parametrize(("forbidden", "kept"), [("", True), ("1", False)])
def test_bytecode_is_kept_unless_it_is_forbidden(
    clone: checkouts.Clone, tmp_path: Path, forbidden: str, *, kept: bool
) -> None:
    """What one task compiles the next one does not, though Invoke itself would write nothing."""
    environ = {"PYTHONPYCACHEPREFIX": str(tmp_path), "PYTHONDONTWRITEBYTECODE": forbidden}
    clone.inv("recipients.list", environ=environ)

    assert kept == any(tmp_path.rglob("ci/cli/*.pyc"))


def test_a_deploy_names_what_cannot_be_generated(tmp_path: Path) -> None:
    """Before anything starts, with the command that sets it, which works in a clone that was never deployed."""
    clone = checkouts.fixture(tmp_path)
    vaults.by_hand(clone.repo, PASSWORD)
    checkouts.generated(clone.repo.root)

    shown = clone.inv("deploy", code=13)
    clone.inv("set", "--env=local", f"--key={PASSWORD}", text=vaults.LINES)
    after = clone.inv("deploy", "--plan", code=3)

    assert "error: local needs secrets that cannot be generated, nothing was deployed" in shown
    assert f"  | inv set --env=local --key={PASSWORD}\n" in shown
    assert "local does not run" in clone.inv("status", code=45)
    assert PASSWORD in after
    values, _ = dotenv.parse_secrets(clone.inv("decrypt", "--env=local").encode())
    assert vaults.LINES == values[PASSWORD]
