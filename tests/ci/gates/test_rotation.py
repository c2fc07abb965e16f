import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema
import pytest

from ci.gates import exceptions, rotation
from ci.gates.finding import Rule
from ci.gates.rotation import dates
from ci.ground import command
from ci.ground.errors import GateError
from ci.ground.repo import Repo
from ci.rotation import state as states
from ci.sealing import edit, environment, identity, init, keys, members, sops
from config.environments import TEMPLATE
from tests import checkouts
from tests.ci.sealing import vaults
from tests.ci.sealing.vaults import DEV

TOKENS, PASSWORD, SMS = "API_TOKENS", "SMTP_PASSWORD", "SMS_PROVIDER_API_KEY"
FILE = "secrets/dev.enc.env"
SARIF = jsonschema.Draft4Validator(
    json.loads((checkouts.ROOT / "tests/fixtures/sarif-2.1.0-rtm.5.json").read_bytes())
)


@pytest.fixture(autouse=True)
def _own_identities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LOCKSTEP_IDENTITY", raising=False)


def commit(repo: Repo, days: float, *words: str, who: str = "Anna") -> None:
    """Commit everything as somebody did some days ago; a merge, with its words."""
    when = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_AUTHOR_NAME", who)
        patch.setenv("GIT_AUTHOR_DATE", when)
        patch.setenv("GIT_COMMITTER_DATE", when)
        checkouts.git(repo.root, "add", "-A")
        checkouts.git(repo.root, "commit", "-qm", "a change", "--allow-empty", *words)


def made(folder: Path, days: float) -> Repo:
    """Return a checkout after `inv init`, committed some days ago."""
    repo = checkouts.initialised(folder)
    (repo.root / ".gitignore").write_text("/.tools\n/.local\n")
    checkouts.git(repo.root, "init", "-q", "-b", "main", "--template=")
    commit(repo, days)
    return repo


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """A checkout whose values are 300 days old."""
    return made(tmp_path / "repo", 300)


def put(repo: Repo, key: str) -> None:
    """Give a key of dev a new value."""
    edit.put(repo, DEV, key, checkouts.value(DEV, repo.schema.keys[key]))


def ages(repo: Repo) -> dict[str, int]:
    """Return how many days old each value of dev is."""
    found = dates.read(repo, datetime.now(UTC)).values
    return {one.key: one.days for one in found if one.environment == DEV}


def all_of(repo: Repo, days: int) -> dict[str, int]:
    return dict.fromkeys((key.name for key in repo.schema.secrets()), days)


def printed(repo: Repo, *words: str) -> tuple[int, str]:
    """Run the gate as a module and return its exit code and all that it printed."""
    argv = [sys.executable, "-m", "ci.gates.rotation", *words, str(repo.root)]
    done = subprocess.run(argv, cwd=checkouts.ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("days", "expected"), [(89, None), (90, rotation.DUE), (104, rotation.DUE), (105, rotation.OVERDUE)]
)
def test_it_warns_first_and_then_fails(tmp_path: Path, days: int, expected: object) -> None:
    """From the day on which it is due a secret is warned of, and after fourteen more it is a fault."""
    found = rotation.check(made(tmp_path / "repo", days))

    tokens = {one.rule for one in found if one.key == TOKENS}
    assert ({expected.id} if isinstance(expected, Rule) else set()) == tokens
    assert set() == {one.key for one in found} - {TOKENS, SMS}
    assert {"sealed files": 3, "values": 15, "commits": 1} == found.looked


def test_a_finding_says_what_to_do(repo: Repo) -> None:
    """It names file, line, key, age, day, who and which commit, and the command with its environment and key."""
    [one] = [one for one in rotation.check(repo) if (one.place, one.key) == (FILE, PASSWORD)]

    due = (datetime.now(UTC) - timedelta(days=120)).date()
    sha = command.run(["git", "-C", repo.root, "rev-parse", "--short=12", "HEAD"]).strip()
    assert f"is 300 days old and was due on {due}; Anna changed it last ({sha})" == one.message
    assert one.hint.startswith(f"inv rotate --env=dev --key={PASSWORD}; ")
    assert (repo.root / FILE).read_text().split("\n")[one.line - 1].startswith(f"{PASSWORD}=ENC[")


def test_warnings_alone_do_not_fail(tmp_path: Path) -> None:
    """They are shown in each format and the exit code is 0; with one that is overdue it is 1."""
    repo = made(tmp_path / "repo", 100)
    due = [printed(repo, "--format", form) for form in ("text", "github", "sarif", "json")]
    commit(repo, 0)
    late = made(tmp_path / "late", 106)
    for key in (TOKENS, SMS):
        put(late, key)
    overdue = [printed(late, "--format", form) for form in ("text", "github", "sarif")]

    assert [0] * 4 == [code for code, _ in due]
    assert f": warning: rotation/due {TOKENS}\n" in due[0][1]
    assert "rotation: 6 findings, 6 of them warnings; looked at 3 sealed files" in due[0][1]
    assert "::warning file=secrets/dev.enc.env" in due[1][1]
    assert {"warning"} == {one["level"] for one in json.loads(due[2][1])["runs"][0]["results"]}
    assert {"warning"} == {one["level"] for one in json.loads(due[3][1])["findings"]}
    assert [1] * 3 == [code for code, _ in overdue]
    assert "rotation: 4 findings; looked at" in overdue[0][1]
    assert "::error file=secrets/prod.enc.env" in overdue[1][1]
    assert {"error"} == {one["level"] for one in json.loads(overdue[2][1])["runs"][0]["results"]}
    assert [] == [
        error.message for shown in (due[2], overdue[2]) for error in SARIF.iter_errors(json.loads(shown[1]))
    ]


def test_a_value_that_was_set_is_young(repo: Repo) -> None:
    """Only the key whose ciphertext changed is, and who did it is told; what others change later is no matter."""
    put(repo, PASSWORD)
    commit(repo, 20, who="Bob")
    put(repo, TOKENS)
    commit(repo, 10, who="Carol")

    found = {one.key: one for one in dates.read(repo, datetime.now(UTC)).values if one.environment == DEV}
    assert all_of(repo, 300) | {PASSWORD: 20, TOKENS: 10} == ages(repo)
    assert ("Bob", "Carol", "Anna") == tuple(found[key].last.who for key in (PASSWORD, TOKENS, SMS))


def rotate_by_sops(repo: Repo) -> None:
    env = {"SOPS_AGE_KEY": identity.at_hand(repo, DEV).reveal(), "HOME": "/nonexistent"}
    words = ["rotate", "-i", *sops.DOTENV, str(repo.sealed(DEV))]
    assert 0 == command.attempt([repo.tool("sops"), *words], env=env, cwd=repo.root).code


def add(repo: Repo) -> None:
    members.add(repo, DEV, vaults.person(repo)[0], "Colleague")


def remove(repo: Repo) -> None:
    add(repo)
    commit(repo, 60)
    members.remove(repo, DEV, name="Colleague")


def replace_identity(repo: Repo) -> None:
    """Both steps in one commit: no reader of before is left."""
    keys.begin(repo, DEV)
    keys.finish(repo, DEV)


@pytest.mark.parametrize("change", [rotate_by_sops, add, remove, replace_identity])
def test_a_change_of_readers_or_of_the_data_key_makes_nothing_young(repo: Repo, change: object) -> None:
    """Every line or every envelope is another one, and every value is the same and as old as before."""
    assert callable(change)
    before = repo.sealed(DEV).read_bytes()
    change(repo)
    commit(repo, 5)

    assert before != repo.sealed(DEV).read_bytes()
    assert all_of(repo, 300) == ages(repo)


def test_a_new_reader_and_a_new_value_in_one_commit(repo: Repo) -> None:
    """The ciphertexts that stayed prove that the data key did, so the one that changed is a new value."""
    add(repo)
    put(repo, SMS)
    commit(repo, 5)

    assert all_of(repo, 300) | {SMS: 5} == ages(repo)


def test_a_value_set_after_and_before_a_new_data_key(repo: Repo) -> None:
    """The change before is remembered through the new data key, and the change after it counts."""
    put(repo, PASSWORD)
    commit(repo, 100)
    rotate_by_sops(repo)
    commit(repo, 50)
    put(repo, TOKENS)
    commit(repo, 20)
    rotate_by_sops(repo)
    commit(repo, 10)

    assert all_of(repo, 300) | {PASSWORD: 100, TOKENS: 20} == ages(repo)


def test_a_value_that_is_taken_back_is_as_old_as_it_was(repo: Repo) -> None:
    """An old version of the file brings the old values, not new ones."""
    old = repo.sealed(DEV).read_bytes()
    put(repo, PASSWORD)
    commit(repo, 20)
    repo.sealed(DEV).write_bytes(old)
    commit(repo, 5)

    assert all_of(repo, 300) == ages(repo)


def test_a_file_that_was_deleted_and_made_again(repo: Repo) -> None:
    """The same values under a new data key are no younger for the gap."""
    values = environment.sealed(repo, DEV)
    repo.sealed(DEV).unlink()
    commit(repo, 50)
    edit.encrypt(repo, DEV, "".join(f"{key}={value.reveal()}\n" for key, value in values.items()))
    commit(repo, 5)

    assert all_of(repo, 300) == ages(repo)


def test_a_merge_brings_values_as_old_as_on_their_side(repo: Repo) -> None:
    """What a merge seals anew, for the two sides changed one file, was changed where it was changed."""
    checkouts.git(repo.root, "checkout", "-qb", "side")
    put(repo, PASSWORD)
    commit(repo, 50, who="Bob")
    password = environment.sealed(repo, DEV)[PASSWORD].reveal()
    checkouts.git(repo.root, "checkout", "-q", "main")
    put(repo, TOKENS)
    commit(repo, 40)
    checkouts.git(repo.root, "merge", "-q", "--no-commit", "-s", "ours", "side")
    edit.put(repo, DEV, PASSWORD, password)
    commit(repo, 5, who="Carol")

    found = {one.key: one.last.who for one in dates.read(repo, datetime.now(UTC)).values if one.environment == DEV}
    assert all_of(repo, 300) | {PASSWORD: 50, TOKENS: 40} == ages(repo)
    assert "Bob" == found[PASSWORD]


def test_a_merge_of_what_git_can_merge(repo: Repo) -> None:
    """A side that alone changed the file is taken as it is, with its dates."""
    checkouts.git(repo.root, "checkout", "-qb", "side")
    put(repo, PASSWORD)
    commit(repo, 50)
    checkouts.git(repo.root, "checkout", "-q", "main")
    (repo.root / "README.md").write_text("other")
    commit(repo, 40)
    checkouts.git(repo.root, "merge", "-q", "--no-ff", "side")

    assert all_of(repo, 300) | {PASSWORD: 50} == ages(repo)


def test_init_makes_every_value_young(tmp_path: Path) -> None:
    """The template's values are nobody's, so what follows them is new, before it is committed and after."""
    template = made(tmp_path / "repo", 400)
    path = template.root / "config/environments.yaml"
    path.write_text(path.read_text().replace("project: acme", f"project: {TEMPLATE}"))
    commit(template, 400, "--amend")
    repo = Repo(template.root)
    before = ages(repo)
    init.init(repo, "theirs", checkouts.value)
    made_now = ages(repo)
    commit(Repo(repo.root), 3)

    assert all_of(repo, 400) == before
    assert all_of(repo, 0) == made_now
    assert all_of(repo, 3) == ages(Repo(repo.root))


def test_a_key_that_is_new_in_the_schema(repo: Repo) -> None:
    """A key that was not there before dates from the commit that brought it, whatever happened to the data key."""
    values = environment.sealed(repo, DEV)
    lines = {key: value.reveal() for key, value in values.items()}
    edit.encrypt(repo, DEV, "".join(f"{key}={value}\n" for key, value in lines.items() if key != SMS))
    commit(repo, 200)
    edit.encrypt(repo, DEV, "".join(f"{key}={value}\n" for key, value in lines.items()))
    commit(repo, 100)

    assert all_of(repo, 300) | {SMS: 100} == ages(repo)


def test_the_record_of_a_rotation_counts(repo: Repo) -> None:
    """It tells of a change that git cannot; a value that was set later is younger still."""
    rotate_by_sops(repo)
    for key in (PASSWORD, TOKENS):
        states.record(repo, states.begin(repo, DEV, key, leaked=False))
    text = repo.record.read_text()
    yesterday = (datetime.now(UTC) - timedelta(days=30)).isoformat()
    rows = [json.loads(line) | {"when": yesterday, "who": "Dora"} for line in text.splitlines()]
    repo.record.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    commit(repo, 29)
    put(repo, TOKENS)
    commit(repo, 10)

    found = {one.key: one.last for one in dates.read(repo, datetime.now(UTC)).values if one.environment == DEV}
    assert all_of(repo, 300) | {PASSWORD: 30, TOKENS: 10} == ages(repo)
    assert ("Dora", "inv rotate") == (found[PASSWORD].who, found[PASSWORD].shown)


def test_what_is_not_committed_was_changed_now(repo: Repo) -> None:
    """Whoever has just set a value is not told to do it, and sees that it is not committed."""
    put(repo, PASSWORD)

    found = {one.key: one.last for one in dates.read(repo, datetime.now(UTC)).values if one.environment == DEV}
    assert all_of(repo, 300) | {PASSWORD: 0} == ages(repo)
    assert "not committed" == found[PASSWORD].shown


def test_a_key_without_a_term_is_never_due(repo: Repo) -> None:
    """Where the schema says no rotate_days, or does not know the key, there is no day."""
    path = repo.root / "config/schema.yaml"
    path.write_text(path.read_text().replace("      rotate_days: 180\n", ""))

    found = dates.read(Repo(repo.root), datetime.now(UTC)).values
    assert {TOKENS, SMS} == {one.key for one in found if one.due}
    assert {TOKENS, SMS} == {one.key for one in rotation.check(Repo(repo.root))}


def test_an_exception_excuses_for_a_time(repo: Repo) -> None:
    """A provider that cannot rotate before some day is excused by rule, place and key, until then."""
    (repo.root / "config/exceptions.yaml").write_text(
        f"exceptions:\n  - rule: rotation/overdue\n    place: {FILE}\n    key: {PASSWORD}\n"
        "    reason: the mail server moves next month\n    expires: 2999-01-01\n"
    )

    left = exceptions.apply(repo, rotation.RULES, rotation.check(repo), datetime.now(UTC).date())
    assert (FILE, PASSWORD) not in {(one.place, one.key) for one in left}
    assert 14 == len(left)


def no_files(repo: Repo) -> None:
    for name in (DEV, "staging", "prod"):
        repo.sealed(name).unlink()


def no_values(repo: Repo) -> None:
    repo.sealed("prod").write_text("<<<<<<< ours\n=======\n>>>>>>> theirs\n")


def damaged_record(repo: Repo) -> None:
    repo.record.write_text('{"environment": "dev"\n')


def no_commit(repo: Repo) -> None:
    checkouts.git(repo.root, "update-ref", "-d", "HEAD")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (no_files, "there was nothing to look at: 0 sealed files, 0 values"),
        (no_values, "secrets/prod.enc.env holds no sealed value"),
        (damaged_record, "config/rotations.jsonl cannot be read"),
        (no_commit, "git rev-parse failed here"),
    ],
)
def test_what_cannot_be_told_is_no_clean_result(repo: Repo, change: object, expected: str) -> None:
    """A gate that could not look ends with 2 and says why."""
    assert callable(change)
    change(repo)

    code, shown = printed(repo)
    assert (2, True) == (code, expected in shown), shown


def test_a_shallow_clone_is_refused(repo: Repo, tmp_path: Path) -> None:
    """Its oldest commit has every value, so that all would look young."""
    put(repo, PASSWORD)
    commit(repo, 5)
    checkouts.git(tmp_path, "clone", "-q", "--depth=1", f"file://{repo.root}", "shallow")

    with pytest.raises(GateError, match="shallow"):
        rotation.check(Repo(tmp_path / "shallow"))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every program that is started."""
    made_calls: list[object] = []
    attempt = command.attempt

    def counted(argv: list[str], **options: object) -> command.Result:
        made_calls.append(argv)
        return attempt(argv, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(command, "attempt", counted)
    return made_calls


def test_a_long_history_is_read_at_once(repo: Repo, calls: list[object]) -> None:
    """Git is asked as often for eight versions as for two."""
    put(repo, PASSWORD)
    commit(repo, 50)
    calls.clear()
    rotation.check(repo)
    few = len(calls)
    for days in range(40, 34, -1):
        put(repo, PASSWORD)
        commit(repo, days)
    calls.clear()

    rotation.check(repo)

    assert few == len(calls)
