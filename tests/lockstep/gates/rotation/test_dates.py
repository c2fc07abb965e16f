import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ci.gates import rotation
from ci.gates.rotation import dates
from ci.ground import command
from ci.ground.environments import TEMPLATE
from ci.ground.errors import GateError
from ci.ground.repo import Repo
from ci.rotation import state as states
from ci.sealing import edit, envelopes, environment, identity, init, keys, members, sops
from tests import checkouts
from tests.lockstep.gates.rotation.histories import PASSWORD, SMS, TOKENS, ages, all_of, commit, made, put
from tests.lockstep.sealing import vaults
from tests.lockstep.sealing.vaults import DEV


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
    words = ["rotate", "-i", *sops.SEALED, str(repo.sealed(DEV))]
    assert 0 == command.attempt([repo.tool("sops"), *words], env=env, cwd=repo.root).code
    envelopes.note(repo.sealed(DEV).read_bytes())  # as if this user had done it: no value is sealed anew for it


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
