import shutil

import pytest

from ci.gates import sealing
from ci.ground import git
from ci.ground.repo import Repo
from tests import checkouts
from tests.lockstep.gates.sealing.changes import (
    Change,
    both,
    dump,
    file,
    first,
    link,
    rulestext,
    text,
    top,
    with_identity,
)
from tests.lockstep.gates.sealing.colleagues import (
    PROPOSAL,
    colleague,
    joined,
    left,
    proposed,
    put,
    put_by_sops,
    rotated,
    sealed_by_sops,
)
from tests.lockstep.gates.sealing.envelopes import envelope, stanza, without
from tests.lockstep.gates.sealing.repos import back, commit, past, rules, steps


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("plaintext", first("hunter2")),
        ("unsealed", text(lambda old: old.partition("sops_")[0])),
        ("trailing", text(lambda old: old.replace("type:str]", "type:str]x", 1))),
        ("hidden-reader", envelope(lambda raw: raw.replace(b"\n---", b"\n" + stanza() + b"---", 1))),
        ("stray", file("secrets/dev.env")),
        ("clear", file(".env", "A=b\n")),
        ("clear", file("x.txt", dump("SMTP_PASSWORD", "REDIS_URL"))),
        ("identity", with_identity("notes.txt")),
        ("decrypted", file("dev.dec.env")),
        ("backup", file("config/dev.env~")),
        ("misplaced", file("dev.enc.env")),
        ("link", link("secrets/dev.enc.env", "staging.enc.env")),
        ("second-rules", file("app/.sops.yaml")),
        ("conflict", top("<<<<<<< HEAD")),
    ],
)
def test_what_a_commit_held_for_a_while_is_found(repo: Repo, rule: str, change: Change) -> None:
    """The next commit takes it back, and it stays in the history."""
    base = steps(repo, change, back)

    assert set() == rules(repo)
    assert {rule} == past(repo, base)
    assert set() == past(repo, git.commit(repo.root, "HEAD~"))


def test_a_finding_of_the_past_names_its_commit(repo: Repo) -> None:
    """The place is commit:path."""
    base = steps(repo, first("hunter2"), back)

    (found,) = sealing.check_history(repo, base)

    assert f"{git.commit(repo.root, 'HEAD~')[:12]}:secrets/dev.enc.env" == found.place


@pytest.mark.parametrize(
    "history",
    [
        (put(),),
        (put(), put("API_TOKENS")),
        (rotated,),
        (joined,),
        (joined, put()),
        (joined, rotated, put()),
        (file("README.md"),),
        (lambda repo: checkouts.git(repo.root, "rm", "-q", "secrets/dev.enc.env"),),
        (lambda repo: both(left(joined(repo)), rotated)(repo),),
        (
            lambda repo: shutil.copy(repo.sealed("dev"), repo.root / "secrets/gone.enc.env"),
            lambda repo: (repo.root / "secrets/gone.enc.env").unlink(),
        ),
    ],
    ids=[
        "set",
        "set twice",
        "rotate",
        "join",
        "join and set",
        "join, rotate, set",
        "a file",
        "delete",
        "leave",
        "an environment that went",
    ],
)
def test_an_honest_history(repo: Repo, history: tuple[Change, ...]) -> None:
    """What colleagues do from day to day trips nothing."""
    base = steps(repo, *history)

    assert set() == past(repo, base)
    assert set() == past(repo, None)


def test_a_removed_recipient_without_a_rotation(repo: Repo) -> None:
    """To run updatekeys keeps the data key, so that who left can still read each value."""
    who = joined(repo)
    commit(repo)

    base = steps(repo, left(who))
    found = sealing.check_history(repo, base)

    assert set() == rules(repo)
    assert {"sealing/removed-reader"} == {one.rule for one in found}
    assert {"secrets/dev.enc.env"} == {one.place for one in found}
    assert 5 == len(found)


def test_a_removed_recipient_with_a_rotation(repo: Repo) -> None:
    """After sops rotate nothing of before is left, in one commit or in two."""
    who = joined(repo)
    commit(repo)

    base = steps(repo, left(who), rotated)

    assert set() == past(repo, base)


def test_one_value_that_was_kept_is_enough(repo: Repo) -> None:
    """A file that still has one old ciphertext has the old data key."""
    who = joined(repo)
    commit(repo)

    base = steps(repo, both(left(who), put_by_sops("SMTP_PASSWORD")))

    assert {"removed-reader"} == past(repo, base)


def test_an_envelope_that_was_kept_is_enough(repo: Repo) -> None:
    """Every value is new, and the lines of who left are gone: the data key is that of before."""
    who = joined(repo)
    commit(repo)

    def cut(repo: Repo) -> None:
        rulestext(lambda old: old.replace(f"      - {who}\n", ""))(repo)
        text(lambda old: without(old, who))(repo)

    values = [put_by_sops(key.name) for key in repo.schema.secrets()]
    base = steps(repo, both(*values, cut))

    assert set() == rules(repo)
    assert {"removed-reader"} == past(repo, base)


def test_a_value_set_between_removal_and_rotation(repo: Repo) -> None:
    """It was sealed with a data key that the removed recipient has, and it lies in the history."""
    who = joined(repo)
    commit(repo)

    base = steps(repo, left(who), put_by_sops("SMTP_PASSWORD"), rotated)

    assert {"removed-reader"} == past(repo, base)


def test_a_recipient_who_came_and_went_within_the_range(repo: Repo) -> None:
    """Who could read for one commit could read."""
    base = git.commit(repo.root, "HEAD")
    who = joined(repo)
    commit(repo)
    steps(repo, left(who))

    assert {"removed-reader"} == past(repo, base)


def test_a_recipient_removed_on_a_side_branch(repo: Repo) -> None:
    """A merge brings it in; its parents are looked at too."""
    who = joined(repo)
    base = commit(repo)
    checkouts.git(repo.root, "checkout", "-qb", "side")
    steps(repo, left(who))
    checkouts.git(repo.root, "checkout", "-q", "main")
    steps(repo, file("README.md"))
    checkouts.git(repo.root, "merge", "-q", "--no-edit", "side")

    assert {"removed-reader"} == past(repo, base)


def test_what_only_a_merge_commit_brings(repo: Repo) -> None:
    """An evil merge holds what neither side had."""
    base = git.commit(repo.root, "HEAD")
    checkouts.git(repo.root, "checkout", "-qb", "side")
    steps(repo, file("a.md"))
    checkouts.git(repo.root, "checkout", "-q", "main")
    steps(repo, file("b.md"))
    checkouts.git(repo.root, "merge", "-q", "--no-commit", "side")
    first("hunter2")(repo)
    commit(repo)
    steps(repo, back)

    assert {"plaintext"} == past(repo, base)


def test_an_honest_merge(repo: Repo) -> None:
    """What both sides had is not told again."""
    base = git.commit(repo.root, "HEAD")
    checkouts.git(repo.root, "checkout", "-qb", "side")
    steps(repo, put())
    checkouts.git(repo.root, "checkout", "-q", "main")
    steps(repo, file("b.md"))
    checkouts.git(repo.root, "merge", "-q", "--no-edit", "side")

    assert set() == past(repo, base)


def test_an_older_version_that_comes_back(repo: Repo) -> None:
    """A whole old file decrypts; the base's history knows it."""
    old = repo.sealed("dev").read_bytes()
    base = steps(repo, put(), put())
    base = git.commit(repo.root, "HEAD")

    steps(repo, lambda repo: repo.sealed("dev").write_bytes(old))

    assert {"rollback"} == past(repo, base)


def test_a_proposal_that_comes_back(repo: Repo) -> None:
    """One that was accepted or refused is no news when somebody takes it out of the history."""
    proposed()(repo)
    commit(repo)
    text_ = (repo.root / PROPOSAL).read_bytes()
    checkouts.git(repo.root, "rm", "-q", PROPOSAL)
    base = commit(repo)

    steps(repo, file(PROPOSAL.replace("0a", "0b"), text_))

    assert {"rollback"} == past(repo, base)


def test_a_proposal_that_a_removed_recipient_can_read(repo: Repo) -> None:
    """A proposal that waits while somebody leaves is sealed anew, or found."""
    who = colleague(repo)
    sealed_by_sops(repo, "updatekeys", "-y")
    proposed()(repo)
    base = commit(repo)
    waiting = (repo.root / PROPOSAL).read_text()

    steps(repo, both(left(who), rotated, file(PROPOSAL, without(waiting, who))))
    found = sealing.check_history(repo, base)

    assert {("sealing/removed-reader", PROPOSAL)} == {(one.rule, one.place) for one in found}


def test_a_branch_that_is_behind_its_base(repo: Repo) -> None:
    """Who does not touch a file does not roll it back."""
    checkouts.git(repo.root, "checkout", "-qb", "side")
    steps(repo, file("a.md"))
    checkouts.git(repo.root, "checkout", "-q", "main")
    steps(repo, put())
    checkouts.git(repo.root, "checkout", "-q", "side")

    assert set() == past(repo, "main")


def test_the_first_commit_is_looked_at(repo: Repo) -> None:
    """Without a base the whole history counts, from its root."""
    first("hunter2")(repo)
    checkouts.git(repo.root, "commit", "-qa", "--amend", "--no-edit")
    steps(repo, file("README.md"))

    assert {"plaintext"} == past(repo, None)
