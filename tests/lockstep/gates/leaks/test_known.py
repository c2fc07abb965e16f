import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from ci.gates import leaks
from ci.gates.leaks import known, objects
from ci.ground.repo import Repo
from tests import checkouts
from tests.lockstep.gates.leaks.repos import commit, dotenv, ids, output

LOOKED = "bytes"  # counted where anything was read


@pytest.fixture(autouse=True)
def _at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("CI", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)


def folder() -> Path:
    return Path(os.environ["HOME"], ".cache/lockstep/leaks")


def test_what_was_clean_is_not_read_again(repo: Repo) -> None:
    """The second look reads nothing, and says how many commits and objects there are."""
    leaks.check(repo)

    found = leaks.check(Repo(repo.root))

    assert [] == found
    assert {"commits": 1, "objects": 5} == found.looked


def test_a_leak_is_found_each_time(repo: Repo) -> None:
    """What held a leak is no known object, nor is the commit that brought it."""
    leak = dotenv()
    commit(repo, "a.env", leak)
    commit(repo, "b.txt", f"{leak}and more\n")
    first = leaks.check(repo)

    assert first == leaks.check(repo)
    assert {"a.env", "b.txt"} == {one.path for one in first}


def test_what_is_new_after_a_look_is_found(repo: Repo) -> None:
    """A new commit is read, and so is an object without a commit, and a name."""
    leaks.check(repo)
    token = dotenv().partition("=")[2].strip()
    commit(repo, "late.env", dotenv())
    commit(repo, f"SMTP_PASSWORD={token}.txt", "nothing\n")
    commit(repo, "gone.env", dotenv())
    checkouts.git(repo.root, "reset", "-q", "--hard", "HEAD~1")

    assert ["leaks/schema-key"] * 3 == ids(leaks.check(repo))


def test_what_is_known_of_one_repository_is_not_of_another(repo: Repo, tmp_path: Path) -> None:
    """Another clone has a record of its own."""
    leaks.check(repo)
    checkouts.git(tmp_path, "clone", "-q", str(repo.root), "other")
    (tmp_path / "other/.tools").symlink_to(checkouts.ROOT / ".tools")

    assert LOOKED in leaks.check(Repo(tmp_path / "other")).looked
    assert 2 == len(list(folder().iterdir()))


def test_other_rules_look_again(repo: Repo) -> None:
    """A key that the schema has since makes everything new."""
    leaks.check(repo)
    schema = repo.root / "config/schema.yaml"
    schema.write_text(schema.read_text().replace("SMTP_PASSWORD", "MAIL_PASSWORD"))

    assert LOOKED in leaks.check(Repo(repo.root)).looked


def test_ci_has_no_record(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of CI may keep what a pull request wrote."""
    monkeypatch.setenv("CI", "true")
    leaks.check(repo)

    assert LOOKED in leaks.check(repo).looked
    assert not folder().exists()


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o701])
def test_a_record_that_others_can_reach_is_not_used(repo: Repo, mode: int) -> None:
    """Who may write there could have written that all is known."""
    leaks.check(repo)
    folder().chmod(mode)

    assert LOOKED in leaks.check(repo).looked


def test_a_linked_record_is_not_used(repo: Repo, tmp_path: Path) -> None:
    """A link leads to a folder whose owner is not asked."""
    leaks.check(repo)
    folder().rename(tmp_path / "elsewhere")
    folder().symlink_to(tmp_path / "elsewhere")

    assert LOOKED in leaks.check(repo).looked


def test_a_record_in_the_checkout_is_not_used(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is examined does not say what is known of it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(repo.root / ".git/caches"))
    leaks.check(repo)

    assert LOOKED in leaks.check(repo).looked


@pytest.mark.parametrize("begin", [0, 100, 4096, 6000])
def test_a_spoilt_record_is_made_anew(repo: Repo, begin: int) -> None:
    """A look does not fail because of it, and the next one has a record again."""
    leaks.check(repo)
    (record,) = folder().iterdir()
    record.write_bytes(record.read_bytes()[:begin] + b"spoilt" * 2000)

    assert LOOKED in leaks.check(repo).looked
    leaks.check(repo)
    assert LOOKED not in leaks.check(repo).looked


def test_an_old_record_goes(repo: Repo) -> None:
    """What nobody asked for in a month is removed by the next look, which uses its own however old that is."""
    leaks.check(repo)
    (record,) = folder().iterdir()
    old = shutil.copy(record, record.with_name("0" * 32))
    for path in (old, record):
        os.utime(path, (0, 0))

    found = leaks.check(repo)

    assert LOOKED not in found.looked
    assert [record] == list(folder().iterdir())


def test_a_locked_record_is_kept(repo: Repo) -> None:
    """Another process that writes it keeps nobody from looking."""
    leaks.check(repo)
    (record,) = folder().iterdir()
    commit(repo, "a.env", dotenv())
    with sqlite3.connect(record, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert ["leaks/schema-key"] == ids(leaks.check(repo))

    assert LOOKED in leaks.check(repo).looked
    assert [record] == list(folder().iterdir())


def test_a_name_in_an_abandoned_commit_is_found_again(repo: Repo) -> None:
    """The tree that holds it is not known, though its commit is not in the history any more."""
    commit(repo, dotenv().strip(), "nothing\n")
    first = ids(leaks.check(repo))
    checkouts.git(repo.root, "reset", "-q", "--hard", "HEAD~1")

    assert ["leaks/schema-key"] == first == ids(leaks.check(repo))


def test_a_look_that_fails_notes_nothing(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read before it failed is read again."""
    monkeypatch.setattr(objects.Reader, "rest", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        leaks.check(repo)
    monkeypatch.undo()

    assert LOOKED in leaks.check(repo).looked


def test_a_history_in_small_parts(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory holds a part of a history at a time; the findings, and their places, are the same."""
    monkeypatch.setenv("CI", "true")
    leak = dotenv()
    for number in range(5):
        commit(repo, f"{number % 2}.env", f"N={number}\n{leak}{dotenv()}")
    whole = leaks.check(repo)
    monkeypatch.setattr(objects, "BATCH", 2)
    monkeypatch.setattr(objects, "GROUP", 50)
    monkeypatch.setattr(known, "CHUNK", 3)

    assert whole == leaks.check(repo)
    assert 7 == len(whole)


def test_the_command_uses_the_record(repo: Repo) -> None:
    """Each way to start the gate knows what was looked at before."""
    environ = {"HOME": os.environ["HOME"]}
    output(repo, environ=environ)

    assert "0 findings; looked at 1 commits, 5 objects, with" in output(repo, environ=environ)[1]
