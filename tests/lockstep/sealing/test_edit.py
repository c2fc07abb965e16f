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
from ci.sealing import edit, environment, identity, judge, sops
from tests import checkouts
from tests.lockstep.sealing import vaults

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


def test_an_optional_secret_is_removed(repo: Repo) -> None:
    """Its line goes, the others stay, and the environment is whole with it and without it."""
    repo, before = vaults.optional(repo, "SMTP_PASSWORD"), ciphertexts(repo)

    edit.drop(repo, DEV, "SMTP_PASSWORD")

    after = ciphertexts(repo)
    assert before == after | {"SMTP_PASSWORD": before["SMTP_PASSWORD"]}
    assert "SMTP_PASSWORD" not in environment.opened(repo, DEV).sealed
    edit.put(repo, DEV, "SMTP_PASSWORD", "abcdefgh")
    assert "abcdefgh" == environment.opened(repo, DEV).sealed["SMTP_PASSWORD"].reveal()


@pytest.mark.parametrize(
    ("name", "expected", "key"),
    [
        (DEV, "SMTP_PASSWORD is required", "SMTP_PASSWORD"),
        (DEV, "LOG_LEVEL has no sealed value in dev", "LOG_LEVEL"),
        (DEV, "NO_SUCH_KEY has no sealed value in dev", "NO_SUCH_KEY"),
        ("prd", "no environment prd", "SMTP_PASSWORD"),
    ],
)
def test_what_cannot_be_removed(repo: Repo, name: str, expected: str, key: str) -> None:
    """A required secret would be missed at the next deploy; what has no value has none to remove."""
    before = repo.sealed(DEV).read_bytes()

    with pytest.raises(errors.LockstepError, match=expected):
        edit.drop(repo, name, key)

    assert before == repo.sealed(DEV).read_bytes()


def test_what_the_schema_no_longer_has_is_removed(repo: Repo) -> None:
    """An environment that has it is refused otherwise."""
    path = repo.root / "config/schema.yaml"
    path.write_text(path.read_text().replace("  SMTP_PASSWORD:", "  MAIL_PASSWORD:"))
    repo = Repo(repo.root)

    edit.drop(repo, DEV, "SMTP_PASSWORD")

    assert "SMTP_PASSWORD" not in lines(repo)


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
        ("nul\0inside", errors.DirtyValueError),
        ("half a pair \ud800", errors.DirtyValueError),
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
        ("SMTP_PASSWORD=abcd\\nefgh\n", "no clean env file"),
        ('SMTP_PASSWORD="abcdefgh\n', "no clean env file"),
        ('SMTP_PASSWORD="abcd\nefgh"\n', "no clean env file"),
        ('SMTP_PASSWORD="\\u0000"\n', "no clean env file"),
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


def test_a_missing_tool(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without sops the message says how to get it."""
    monkeypatch.setattr(Repo, "tools", repo.root / "none")

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


@pytest.mark.parametrize("body", ["sys.exit(3)", "path.write_text('SMTP_PASSWORD=\"half a value\\n')"])
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


def test_edit_shows_several_lines_as_one(repo: Repo, tmp_path: Path) -> None:
    """The header says how; what is typed so is sealed as the lines that it stands for, and not touched is kept."""
    edit.put(repo, DEV, "SMTP_PASSWORD", "-----BEGIN\n\tback\\nslash\r\n-----END\n")
    before, shown = ciphertexts(repo), tmp_path / "shown"
    look = f"pathlib.Path({str(shown)!r}).write_bytes(path.read_bytes())"

    kept = edit.edit(repo, DEV, editor(tmp_path, look))
    change = "path.write_bytes(path.read_bytes().replace(b'BEGIN', b'NEW'))"
    changed = edit.edit(repo, DEV, editor(tmp_path, change))

    assert shown.read_text().startswith(edit.HEAD)
    assert 'SMTP_PASSWORD="-----BEGIN\\n\\tback\\\\nslash\\r\\n-----END\\n"\n' in shown.read_text()
    assert ([], []) == kept
    assert (["SMTP_PASSWORD"], []) == changed
    assert "-----NEW\n\tback\\nslash\r\n-----END\n" == lines(repo)["SMTP_PASSWORD"]
    assert ["SMTP_PASSWORD"] == [key for key, value in ciphertexts(repo).items() if before[key] != value]


PROJECT = Repo(checkouts.ROOT / checkouts.PROJECT)
JUDGED = (PROJECT.environments.by_name[DEV], PROJECT.schema.keys["SMTP_PASSWORD"])
awkward = st.sampled_from(["\n", "\r\n", "\\n", "\\", "\t", '"', "'", "#", " ", "=", "ü", "🔑", "a" * 9])
legal = st.one_of(
    st.lists(awkward, min_size=8, max_size=40).map("".join), st.text(min_size=8, max_size=200)
).filter(lambda value: dotenv.unfit(value) is None and judge.judged(*JUDGED, value, [], {}) is None)


SHOW = """
import os, sys
from runtime import entry
entry.fill("-")
sys.stdout.buffer.write(os.environb[b"SMTP_PASSWORD"])
"""


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=legal)
def test_any_legal_value_reaches_the_process(repo: Repo, value: str) -> None:
    """set, sealed file, decrypt, the process' own environment: byte for byte, whatever the value."""
    edit.put(repo, DEV, "SMTP_PASSWORD", value)
    bundle = json.dumps({"SMTP_PASSWORD": environment.sealed(repo, DEV)["SMTP_PASSWORD"].reveal()})
    shown = command.attempt(
        [sys.executable, "-c", SHOW], input=bundle.encode(), env={"PYTHONPATH": str(checkouts.ROOT)}
    )

    assert command.Result(0, value.encode(), b"") == shown


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=legal)
def test_encrypt_gives_what_set_gives(repo: Repo, value: str) -> None:
    """A whole file sealed at once decrypts to the same bytes."""
    edit.encrypt(repo, DEV, f"SMTP_PASSWORD={dotenv.shown(value)}\n")

    assert {"SMTP_PASSWORD": value} == lines(repo)
    assert f"SMTP_PASSWORD={dotenv.shown(value)}\n" == environment.decrypt(repo, DEV).reveal()


def test_the_longest_value_reaches_the_process(repo: Repo) -> None:
    """64 kB of lines, whole; the gate takes the file, and the next change keeps them."""
    value = "".join(f"{secrets.token_urlsafe(47)}\n" for _ in range(1024))

    edit.put(repo, DEV, "SMTP_PASSWORD", value)
    edit.put(repo, DEV, "REDIS_URL", checkouts.value(DEV, repo.schema.keys["REDIS_URL"]))
    bundle = json.dumps({"SMTP_PASSWORD": lines(repo)["SMTP_PASSWORD"]})
    shown = command.attempt(
        [sys.executable, "-c", SHOW], input=bundle.encode(), env={"PYTHONPATH": str(checkouts.ROOT)}
    )

    assert dotenv.LONGEST == len(value)
    assert command.Result(0, value.encode(), b"") == shown
    assert set() == vaults.findings(vaults.committed(repo))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"SMTP_PASSWORD": ""}, "SMTP_PASSWORD is empty"),
        ({"SMTP_PASSWORD": "a\0b"}, "SMTP_PASSWORD holds a NUL"),
        ({"SMTP_PASSWORD": 12345678}, "SMTP_PASSWORD is not a text"),
        ({"password": "abcdefgh"}, "a name is not a key's"),
    ],
)
def test_what_sops_sealed_and_no_key_can_have(repo: Repo, data: dict[str, str | int], expected: str) -> None:
    """A file that was not made by `inv` is named with its keys, without a value."""
    rules = repo.root / ".sops.yaml"
    text = sops.call(repo, sops.encrypt(rules, "secrets/dev.enc.env"), text=json.dumps(data), cwd=repo.root)
    repo.sealed(DEV).write_text(text)

    with pytest.raises(errors.ConfigurationError) as caught:
        environment.sealed(repo, DEV)

    assert expected in str(caught.value.detail)
