import base64
import json
import os
import secrets
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ci.ground import command, dotenv, errors
from ci.ground.repo import Repo
from ci.sealing import edit, environment, identity
from tests import checkouts

DEV = "dev"


def lines(repo: Repo) -> dict[str, str]:
    return {key: value.reveal() for key, value in environment.sealed(repo, DEV).items()}


def ciphertexts(repo: Repo) -> dict[str, str]:
    pairs = (line.partition("=") for line in repo.sealed(DEV).read_text().splitlines())
    return {key: value for key, _, value in pairs if not key.startswith("sops_")}


def editor(tmp_path: Path, body: str) -> str:
    """Return an EDITOR that is a Python program; `path` is the file that it was given."""
    program = tmp_path / "editor.py"
    program.write_text(f"import pathlib, sys\npath = pathlib.Path(sys.argv[1])\n{body}\n")
    return f"{sys.executable} {program}"


def test_set_changes_one_line(repo: Repo) -> None:
    """The other values keep their ciphertext, so a diff shows what was changed."""
    before = ciphertexts(repo)
    value = secrets.token_urlsafe()

    edit.put(repo, DEV, "SMTP_PASSWORD", value)

    after = ciphertexts(repo)
    assert value == lines(repo)["SMTP_PASSWORD"]
    assert ["SMTP_PASSWORD"] == [key for key in after if after[key] != before[key]]


def test_set_makes_a_missing_file(repo: Repo) -> None:
    """The first secret of an environment starts its file."""
    repo.sealed(DEV).unlink()
    value = secrets.token_urlsafe()

    edit.put(repo, DEV, "SMTP_PASSWORD", value)

    assert {"SMTP_PASSWORD": value} == lines(repo)


def test_encrypt_replaces_the_file(repo: Repo) -> None:
    """What came on stdin is all that the file holds."""
    value = secrets.token_urlsafe()

    keys = edit.encrypt(repo, DEV, f"# comments are fine\n\nSMTP_PASSWORD={value}\n")

    assert ["SMTP_PASSWORD"] == keys
    assert {"SMTP_PASSWORD": value} == lines(repo)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", errors.DirtyValueError),
        ("two\nlines", errors.DirtyValueError),
        ("return\r", errors.DirtyValueError),
        ("back\\nslash", errors.DirtyValueError),
        (" leading blank", errors.DirtyValueError),
        ("trailing blank ", errors.DirtyValueError),
        ("\u00a0leading no-break blank", errors.DirtyValueError),
        ('"quoted value"', errors.DirtyValueError),
        ("'quoted value'", errors.DirtyValueError),
        ("half a quote'", errors.DirtyValueError),
        ("nul\0inside", errors.DirtyValueError),
        ("bell\x07inside", errors.DirtyValueError),
        ("x" * (dotenv.LONGEST + 1), errors.DirtyValueError),
        ("abc1234", errors.BadValueError),
    ],
)
def test_a_dirty_value_is_refused_and_not_told(repo: Repo, value: str, expected: type[Exception]) -> None:
    """The file stays as it was, and neither message nor hint repeats the value."""
    before = repo.sealed(DEV).read_bytes()

    with pytest.raises(expected) as caught:
        edit.put(repo, DEV, "SMTP_PASSWORD", value)

    assert before == repo.sealed(DEV).read_bytes()
    assert not value or value not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "nothing came in"),
        ("# only a comment\n", "nothing came in"),
        ("export SMTP_PASSWORD=abcdefgh\n", "no clean env file"),
        ("SMTP_PASSWORD = abcdefgh\n", "no clean env file"),
        ("SMTP_PASSWORD\n", "no clean env file"),
        ("smtp_password=abcdefgh\n", "no clean env file"),
        ("SMTP_PASSWORD=abcdefgh\r\n", "no clean env file"),
        ("SMTP_PASSWORD='abcdefgh'\n", "no clean env file"),
        ("SMTP_PASSWORD=abcdefgh\nSMTP_PASSWORD=ijklmnop\n", "no clean env file"),
        ("NO_SUCH_KEY=abcdefgh\n", "no key NO_SUCH_KEY"),
        ("LOG_LEVEL=info\n", "LOG_LEVEL is not secret"),
        ("SMTP_PASSWORD=\udcff12345678\n", "no clean env file"),
    ],
)
def test_what_is_no_clean_env_file_is_not_sealed(repo: Repo, text: str, expected: str) -> None:
    """Nothing half-good is sealed; the file stays as it was."""
    before = repo.sealed(DEV).read_bytes()

    with pytest.raises(errors.LockstepError, match=expected):
        edit.encrypt(repo, DEV, text)

    assert before == repo.sealed(DEV).read_bytes()


def test_an_unknown_environment_is_refused(repo: Repo) -> None:
    """A slip in the environment's name makes no new file."""
    with pytest.raises(errors.UsageError, match="no environment prd"):
        edit.put(repo, "prd", "SMTP_PASSWORD", "abcdefgh")

    assert not repo.sealed("prd").exists()


def replace_value(text: str) -> str:
    """Swap the data of one value for other data of the same length."""
    data = text.split("data:")[1].split(",", maxsplit=1)[0]
    return text.replace(data, base64.b64encode(secrets.token_bytes(len(base64.b64decode(data)))).decode(), 1)


@pytest.mark.parametrize(
    ("tamper", "expected"),
    [
        (replace_value, errors.TamperedError),
        (lambda text: text.replace("SMTP_PASSWORD=", "SMTP_PASSWORX=", 1), errors.TamperedError),
        (lambda text: "".join(text.splitlines(keepends=True)[1:]), errors.TamperedError),
        (lambda text: f"<<<<<<< ours\n{text}", errors.NotSealedError),
        (lambda text: text[: len(text) // 2], errors.LockstepError),
        (lambda text: text.split("sops_")[0], errors.NotSealedError),
        (lambda _text: "", errors.NotSealedError),
        (lambda _text: "SMTP_PASSWORD=in the clear\n", errors.NotSealedError),
    ],
)
@pytest.mark.parametrize("action", ["decrypt", "set", "edit"])
def test_a_damaged_file_is_told_and_kept(
    repo: Repo, tmp_path: Path, tamper: Callable[[str], str], expected: type[Exception], action: str
) -> None:
    """Whatever is done with a damaged file, it fails by name and changes nothing."""
    path = repo.sealed(DEV)
    path.write_text(tamper(path.read_text()))
    before = path.read_bytes()
    actions: dict[str, Callable[[], object]] = {
        "decrypt": lambda: environment.sealed(repo, DEV),
        "set": lambda: edit.put(repo, DEV, "SMTP_PASSWORD", secrets.token_urlsafe()),
        "edit": lambda: edit.edit(repo, DEV, editor(tmp_path, "path.write_text('SMTP_PASSWORD=abcdefgh1\\n')")),
    }

    with pytest.raises(expected):
        actions[action]()

    assert before == path.read_bytes()


def test_no_identity(repo: Repo) -> None:
    """Without an identity the message says where one belongs."""
    path = identity.path(repo, DEV)
    path.unlink()

    with pytest.raises(errors.NoIdentityError) as caught:
        environment.sealed(repo, DEV)

    assert str(path) in caught.value.hint


def test_an_identity_that_others_can_read(repo: Repo) -> None:
    """A file that others may read is not used."""
    identity.path(repo, DEV).chmod(0o644)

    with pytest.raises(errors.NoIdentityError, match="others may read"):
        environment.sealed(repo, DEV)


@pytest.mark.parametrize("given", ["", "nonsense", "AGE-SECRET-KEY-1"])
def test_an_identity_that_is_none(repo: Repo, given: str) -> None:
    """Whatever stands in the file, the answer is that it does not open."""
    identity.path(repo, DEV).write_text(given)

    with pytest.raises((errors.WrongIdentityError, errors.NoIdentityError)):
        environment.sealed(repo, DEV)


def test_a_missing_tool(repo: Repo) -> None:
    """Without sops the message says how to get it."""
    (repo.root / ".tools").unlink()

    with pytest.raises(errors.ToolMissingError, match="sops"):
        environment.sealed(repo, DEV)


def test_stray_variables_change_nothing(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """SOPS_AGE_RECIPIENTS of the shell does not choose who can read a secret."""
    stranger = identity.make(repo, repo.root / "stranger.agekey")
    monkeypatch.setenv("SOPS_AGE_RECIPIENTS", stranger)
    monkeypatch.setenv("SOPS_AGE_KEY", (repo.root / "stranger.agekey").read_text())

    edit.encrypt(repo, DEV, f"SMTP_PASSWORD={secrets.token_urlsafe()}\n")

    assert stranger not in repo.sealed(DEV).read_text()
    assert ["SMTP_PASSWORD"] == list(lines(repo))


def test_edit_sets_and_removes(repo: Repo, tmp_path: Path) -> None:
    """What the editor left is sealed; what it did not touch keeps its ciphertext."""
    before = ciphertexts(repo)
    change = (
        "text = path.read_text().splitlines(); path.write_text('\\n'.join(l for l in text if 'REDIS' not in l)"
    )
    change += ".replace('SMTP_PASSWORD=', 'SMTP_PASSWORD=new') + '\\n')"

    changed, removed = edit.edit(repo, DEV, editor(tmp_path, change))

    after = ciphertexts(repo)
    assert (["SMTP_PASSWORD"], ["REDIS_URL"]) == (changed, removed)
    assert before["DATABASE_URL"] == after["DATABASE_URL"]
    assert lines(repo)["SMTP_PASSWORD"].startswith("new")


def test_edit_without_a_change_writes_nothing(repo: Repo, tmp_path: Path) -> None:
    """To look is not to change."""
    before = repo.sealed(DEV).read_bytes()

    assert ([], []) == edit.edit(repo, DEV, editor(tmp_path, ""))
    assert before == repo.sealed(DEV).read_bytes()


def test_edit_keeps_the_plaintext_in_memory(repo: Repo, tmp_path: Path) -> None:
    """The editor's file is on a memory file system, readable by nobody else, and gone afterwards."""
    told = tmp_path / "told"
    look = f"import os; pathlib.Path({str(told)!r}).write_text(f'{{path}} {{os.stat(path).st_mode}}')"

    edit.edit(repo, DEV, editor(tmp_path, look))

    path, mode = told.read_text().split()
    assert path.startswith(("/dev/shm/", os.environ.get("XDG_RUNTIME_DIR", "/dev/shm/")))
    assert 0o600 == stat.S_IMODE(int(mode))
    assert not Path(path).parent.exists()


@pytest.mark.parametrize("body", ["sys.exit(3)", "path.write_text('SMTP_PASSWORD=\"quoted value\"\\n')"])
def test_a_failed_edit_changes_nothing(repo: Repo, tmp_path: Path, body: str) -> None:
    """An editor that fails, or text that is no env file, leaves the file as it was."""
    before = repo.sealed(DEV).read_bytes()

    with pytest.raises((errors.EditError, errors.DirtyValueError)):
        edit.edit(repo, DEV, editor(tmp_path, body))

    assert before == repo.sealed(DEV).read_bytes()


def test_a_missing_editor(repo: Repo) -> None:
    """The message names the editor."""
    with pytest.raises(errors.ToolMissingError, match="no-such-editor"):
        edit.edit(repo, DEV, "no-such-editor")


legal = st.text(min_size=8, max_size=200).filter(lambda value: dotenv.dirt(value) is None)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=legal)
def test_any_legal_value_reaches_the_process(repo: Repo, tmp_path: Path, value: str) -> None:
    """set, sealed file, decrypt, the process' own environment: byte for byte, whatever the value."""
    (tmp_path / "show.py").write_text("import os, sys\nsys.stdout.buffer.write(os.environb[b'SMTP_PASSWORD'])\n")

    edit.put(repo, DEV, "SMTP_PASSWORD", value)
    bundle = json.dumps({"SMTP_PASSWORD": environment.sealed(repo, DEV)["SMTP_PASSWORD"].reveal()})
    shown = command.attempt(
        [sys.executable, "-m", "runtime.entry", "--bundle", "-", "worker", "show"],
        input=bundle.encode(),
        env={"PYTHONPATH": f"{checkouts.ROOT}{os.pathsep}{tmp_path}"},
    )

    assert command.Result(0, value.encode(), b"") == shown


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=legal)
def test_encrypt_gives_what_set_gives(repo: Repo, value: str) -> None:
    """A whole file sealed at once decrypts to the same bytes."""
    edit.encrypt(repo, DEV, f"SMTP_PASSWORD={value}\n")

    assert {"SMTP_PASSWORD": value} == lines(repo)
