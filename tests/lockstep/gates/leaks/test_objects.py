import pytest

from ci.gates import leaks
from ci.ground import command
from ci.ground.errors import GateError
from ci.ground.repo import Repo
from tests import checkouts
from tests.lockstep.gates.leaks.cases import made_up
from tests.lockstep.gates.leaks.repos import commit, dotenv, ids


def test_a_clean_history(repo: Repo) -> None:
    """What was looked at is counted."""
    found = leaks.check(repo)

    assert [] == found
    assert {"commits": 1, "objects": 5, "blobs": 2} == {
        noun: found.looked[noun] for noun in ("commits", "objects", "blobs")
    }


def test_a_leak_in_many_versions_is_one_finding(repo: Repo) -> None:
    """The first commit that had the line is named, and a change elsewhere in the file repeats nothing."""
    leak = dotenv()
    for number in range(3):
        commit(repo, "a.env", f"N={number}\n{leak}")

    (one,) = leaks.check(repo)

    assert command.run(["git", "-C", repo.root, "rev-parse", "--short=12", "HEAD~2"]).strip() == one.place[:12]


def test_a_new_body_between_old_lines_is_found(repo: Repo) -> None:
    """A difference alone would show a value without the name above it."""
    commit(repo, "k.yaml", "- name: MAIL_PASSWORD\n  value: PASSWORD\n")
    commit(repo, "k.yaml", f"- name: MAIL_PASSWORD\n  value: {made_up()['v']}\n")

    assert ["leaks/name-value-pair"] == ids(leaks.check(repo))


def test_a_change_is_looked_at_with_what_is_around_it(repo: Repo) -> None:
    """A later version of a long file is found at its line, by its first commit, and its old lines only once."""
    old, new = dotenv(), dotenv()
    lines = [f"line {number}\n" for number in range(400)]
    commit(repo, "a.env", "".join([*lines, old, *lines]))
    commit(repo, "a.env", "".join([*lines, old, "between\n", new, *lines]))
    commit(repo, "a.env", "".join(["first\n", *lines, old, "between\n", new, *lines, "last\n"]))

    found = leaks.check(repo)

    assert [401, 403] == [one.line for one in sorted(found, key=lambda one: one.line)]


def test_a_private_key_whose_body_changes(repo: Repo) -> None:
    """Far below a head that stays as it was, the new body is a leak of its own."""
    head, *body, tail = made_up()["pem"].splitlines()
    commit(repo, "key.txt", f"{head}\nPLACEHOLDER\n{tail}")
    commit(repo, "key.txt", "\n".join([head, *body, tail]))

    assert ["leaks/known-provider"] == ids(leaks.check(repo))


def test_an_old_leak_beside_a_change_is_not_the_branchs(repo: Repo) -> None:
    """What the base has already is not told again because the line next to it changed."""
    leak = dotenv()
    commit(repo, "a.env", f"{leak}A=1\n")
    checkouts.git(repo.root, "checkout", "-qb", "topic")
    commit(repo, "a.env", f"{leak}A=2\n")

    assert [] == leaks.check_commits(repo, "main")


def test_commits_since_a_base(repo: Repo) -> None:
    """Only what the base does not have is looked at, merges and deleted files too."""
    commit(repo, "old.env", dotenv())
    checkouts.git(repo.root, "checkout", "-qb", "topic")
    commit(repo, "new.env", dotenv())
    checkouts.git(repo.root, "rm", "-q", "new.env")
    checkouts.git(repo.root, "commit", "-qm", "gone")

    found = leaks.check_commits(repo, "main")

    assert ["new.env"] == [one.place.partition(":")[2] for one in found]
    assert 2 == found.looked["commits"]


@pytest.mark.parametrize("base", ["nowhere", "--all", "HEAD"])
def test_a_base_that_leaves_nothing(repo: Repo, base: str) -> None:
    """An unknown base, an option in its place, and a base that has everything are no clean result."""
    with pytest.raises(GateError):
        leaks.check_commits(repo, base)


def test_a_replaced_commit_hides_nothing(repo: Repo) -> None:
    """A replacement shows another commit in a commit's place, but not to the gate."""
    commit(repo, "a.env", dotenv())
    checkouts.git(repo.root, "replace", "HEAD", "HEAD~1")

    assert ["leaks/schema-key"] == ids(leaks.check(repo))
