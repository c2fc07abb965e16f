"""Every change is there whole or not at all, whatever fails and whenever it is killed."""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ci.gates import sealing
from ci.ground import errors
from ci.ground.repo import Repo
from ci.sealing import ciphertext, edit, keys, members, proposal, recipients
from tests import checkouts
from tests.lockstep.sealing.vaults import DEV, commit, committed, failing_sops, findings, person, tree, values

ACTS: dict[str, Callable[[Repo], object]] = {
    "add": lambda repo: members.add(repo, DEV, recipients.read(repo)["prod"][0].key),
    "remove": lambda repo: members.remove(repo, DEV, name="Anna"),
    "begin": lambda repo: keys.begin(repo, DEV),
    "finish": lambda repo: keys.finish(repo, DEV),
    "accept": lambda repo: proposal.accept(repo, DEV),
}


@pytest.fixture
def repo(repo: Repo) -> Repo:
    """A checkout with a colleague, and a proposal that waits."""
    members.add(repo, DEV, person(repo)[0], "Anna")
    proposal.propose(repo, DEV, "API_TOKENS", secrets.token_urlsafe(24))
    return committed(repo)


@pytest.fixture
def home() -> Path:
    return Path(os.environ["XDG_CONFIG_HOME"])


def prepare(repo: Repo, act: str) -> None:
    """Bring the checkout to where the act can begin."""
    if act == "remove":
        proposal.accept(repo, DEV)
    if act == "finish":
        keys.begin(repo, DEV)
    commit(repo)


@pytest.mark.parametrize(("act", "calls"), [("add", 4), ("remove", 3), ("begin", 4), ("finish", 8), ("accept", 2)])
def test_a_failure_half_way_changes_nothing(
    repo: Repo, home: Path, monkeypatch: pytest.MonkeyPatch, act: str, calls: int
) -> None:
    """Whichever call of sops fails, the files stay and no identity is left over; the next run goes through."""
    prepare(repo, act)
    before = (tree(repo), sorted(home.rglob("*")))

    for nth in range(1, calls + 1):
        with monkeypatch.context() as patch:
            failing_sops(repo, patch, nth)
            with pytest.raises(errors.LockstepError):
                ACTS[act](repo)
        assert before == (tree(repo), sorted(home.rglob("*")))

    with monkeypatch.context() as patch:
        failing_sops(repo, patch, calls + 1)
        ACTS[act](repo)
    assert before != (tree(repo), sorted(home.rglob("*")))
    assert set() == findings(repo)


KILLED = """
import os, signal, sys
from pathlib import Path
from ci.ground import files
from ci.ground.repo import Repo
from tests.lockstep.sealing.test_recipients_whole import ACTS

left = int(sys.argv[3])

def killed(real):
    def act(*arguments, **options):
        global left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    return act

files.replace, Path.unlink, Path.rename = killed(files.replace), killed(Path.unlink), killed(Path.rename)
ACTS[sys.argv[1]](Repo(Path(sys.argv[2])))
"""


def run(*words: str) -> int:
    """Run a program among the code under test and return its exit code."""
    env = {**os.environ, "PYTHONPATH": str(checkouts.ROOT)}
    return subprocess.run([sys.executable, "-c", *words], cwd=checkouts.ROOT, env=env, check=False).returncode


@pytest.mark.parametrize(("act", "steps"), [("add", 5), ("remove", 5), ("finish", 7), ("accept", 4)])
def test_a_kill_between_two_steps_is_finished_by_the_next_run(
    repo: Repo, home: Path, act: str, steps: int
) -> None:
    """Killed before any of its writes, the change is there whole or not at all once anything is done."""
    prepare(repo, act)
    keys_, rules = values(repo).keys(), {one.key for one in recipients.read(repo)[DEV]}
    pristine = {path: path.read_bytes() for path in home.rglob("*.agekey")}
    ends = []

    for step in range(1, steps + 1):
        checkouts.git(repo.root, "checkout", "-q", "--", ".")
        checkouts.git(repo.root, "clean", "-qfd", "secrets", "config")
        for path in home.rglob("*.agekey"):
            path.unlink()
        for path, data in pristine.items():
            path.write_bytes(data)
            path.chmod(0o600)
        assert -signal.SIGKILL == run(KILLED, act, str(repo.root), str(step))

        if act == "finish":
            keys.finish(repo, DEV)
        edit.put(repo, DEV, "SMTP_PASSWORD", secrets.token_urlsafe())

        now = {one.key for one in recipients.read(repo)[DEV]}
        ends.append((now != rules, len(proposal.files(repo, DEV))))
        assert keys_ == values(repo).keys()
        assert now == set(ciphertext.readers(repo.sealed(DEV).read_bytes()))
        assert set() == {one.rule for one in sealing.check(repo)}

    whole = {"add": (True, 1), "remove": (True, 0), "finish": (True, 1), "accept": (False, 0)}[act]
    assert [whole] * (steps - 1) == ends[1:]


def test_files_that_were_changed_since_are_not_overwritten(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that was interrupted does not undo what people did by hand since."""
    prepare(repo, "remove")
    with monkeypatch.context() as patch:
        patch.setattr("ci.sealing.change._finish", lambda _repo: None)
        members.remove(repo, DEV, name="Anna")
    (repo.root / ".sops.yaml").write_text((repo.root / ".sops.yaml").read_text() + "# by hand\n")
    before = tree(repo)

    with pytest.raises(errors.EditError, match="changed since") as caught:
        edit.put(repo, DEV, "SMTP_PASSWORD", secrets.token_urlsafe())

    assert (".sops.yaml",) == caught.value.detail
    assert before == tree(repo)


SECOND = """
import sys
from pathlib import Path
from ci import cli
from ci.ground.repo import Repo
from ci.sealing import edit

with cli.reported():
    edit.put(Repo(Path(sys.argv[1])), "dev", "SMTP_PASSWORD", "ab" * 10)
"""


def test_two_at_once_take_turns(repo: Repo, tmp_path: Path) -> None:
    """While somebody changes sealed files, another change is refused and told so."""
    editor = tmp_path / "editor.py"
    editor.write_text(
        f"import os, sys\nos.chdir({str(checkouts.ROOT)!r})\nsys.path.insert(0, '.')\n"
        f"sys.argv[1:] = [{str(repo.root)!r}]\n{SECOND}"
    )
    before = tree(repo)

    with pytest.raises(errors.EditError, match="ended with 40"):
        edit.edit(repo, DEV, f"{sys.executable} {editor}")

    assert before == tree(repo)
    assert 0 == run(SECOND, str(repo.root))
