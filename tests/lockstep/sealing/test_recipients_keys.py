from pathlib import Path

import pytest

from ci.ground import errors
from ci.ground.repo import Repo
from ci.sealing import identity, keys, recipients
from runtime import Secret
from tests import checkouts
from tests.lockstep.sealing.vaults import DEV, committed, findings, opens, tree, values, with_old_key


@pytest.fixture
def repo(repo: Repo) -> Repo:
    return committed(repo)


def test_the_identity_is_replaced_with_a_time_in_which_both_work(repo: Repo) -> None:
    """Then the old one opens nothing new, and is kept for what is old."""
    old, before = identity.at_hand(repo, DEV), values(repo)

    new = Secret(keys.begin(repo, DEV).read_text())

    assert opens(repo, old)
    assert opens(repo, new)
    assert set() == findings(repo)
    assert keys.begin(repo, DEV) == keys.following(repo, DEV)
    data = repo.sealed(DEV).read_bytes()
    keys.finish(repo, DEV)
    assert not opens(repo, old)
    assert new == identity.at_hand(repo, DEV)
    assert before == values(repo)
    assert dict.fromkeys(before, 25) == with_old_key(repo, old, data, repo.sealed(DEV).read_bytes())
    assert set() == findings(repo)
    folder = identity.path(repo, DEV).parent
    assert 1 == sum(old.reveal() == path.read_text() for path in folder.glob("dev.*.agekey"))
    assert not keys.following(repo, DEV).exists()


def test_the_new_identity_may_be_in_use_before_the_old_one_goes(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pipeline has it already, and it is the old one that goes."""
    old = identity.at_hand(repo, DEV)
    monkeypatch.setenv(identity.VARIABLE, keys.begin(repo, DEV).read_text())

    gone = keys.finish(repo, DEV)

    assert gone
    assert identity.recipient(repo, old) == gone.key
    assert not opens(repo, old)


def test_a_new_identity_keeps_the_name_and_the_kind(tmp_path: Path) -> None:
    """A post-quantum environment stays one."""
    repo = checkouts.initialised(tmp_path / "pq", post_quantum=True)
    rules = recipients.read(repo)
    rules[DEV] = [recipients.Recipient(rules[DEV][0].key, "pipeline")]
    (repo.root / ".sops.yaml").write_bytes(recipients.changed(repo, rules))

    keys.begin(repo, DEV)
    keys.finish(repo, DEV)

    (one,) = recipients.read(repo)[DEV]
    assert "pipeline" == one.name
    assert one.post_quantum
    assert one != rules[DEV][0]


def test_to_finish_what_was_not_begun(repo: Repo) -> None:
    """There is no new identity, so the old one stays."""
    before = tree(repo)

    with pytest.raises(errors.NoIdentityError, match=r"next\.agekey is not there"):
        keys.finish(repo, DEV)

    assert before == tree(repo)


def test_to_finish_with_an_identity_that_opens_nothing(repo: Repo) -> None:
    """Where the first step was undone or is not merged yet, the old identity must not go."""
    keys.begin(repo, DEV)
    checkouts.git(repo.root, "checkout", "-q", "--", ".")
    before = tree(repo)

    with pytest.raises(errors.RecipientError, match="is no recipient of dev"):
        keys.finish(repo, DEV)

    assert before == tree(repo)
