"""A gate looks at a commit of a bare repository: at its objects alone, with no file of them written anywhere."""

from pathlib import Path

import pytest

from ci.ground import git
from ci.ground.repo import Repo
from tests import checkouts
from tests.lockstep.gates.leaks.repos import dotenv
from tests.lockstep.gates.loosened.heads import bare, program, rules
from tests.lockstep.gates.parity.changes import Change, file, put
from tests.lockstep.gates.sealing.changes import first
from tests.lockstep.gates.sealing.repos import back, steps

GATES = ("parity", "sealing", "leaks", "rotation")
BROKEN: list[tuple[str, Change, str]] = [
    ("parity", put("SMTP_PORT", "x"), "parity/value"),
    ("parity", file("app/x.py", 'import os\n\nos.getenv("X")\n'), "parity/environ-read"),
    ("parity", file("config/qa.env", "X=1\n"), "parity/environment"),
    ("sealing", first("hunter2"), "sealing/plaintext"),
    ("sealing", file("secrets/notes.txt", "x\n"), "sealing/stray"),
    ("leaks", file("a.env", dotenv()), "leaks/schema-key"),
]


@pytest.mark.parametrize("gate", GATES)
def test_a_clean_commit_is_clean(repo: Repo, gate: str) -> None:
    """Every gate says of it what it says of the checkout."""
    folder = bare(repo)

    code, output = program(gate, folder)

    assert (0, output) == (code, program(gate, repo.root)[1].replace("-dirty", ""))


@pytest.mark.parametrize(("gate", "change", "expected"), BROKEN)
def test_a_commit_is_looked_at_and_not_the_folder(repo: Repo, gate: str, change: Change, expected: str) -> None:
    """A finding of one commit is found at it, and neither at the one before nor at what follows."""
    steps(repo, change, back)
    folder = bare(repo)

    assert expected in rules(gate, "--head=main~1", folder)
    assert expected not in rules(gate, "--head=main~2", folder)
    assert expected in rules(gate, "--head=main~1", repo.root)


def test_nothing_is_written(repo: Repo, tmp_path: Path) -> None:
    """Neither in the repository nor in a temp folder is there a file more afterwards."""
    base = steps(repo, file("app/x.py", "x = 1\n"))
    folder, temp = bare(repo), tmp_path / "temp"
    temp.mkdir()
    before = sorted(folder.rglob("*"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(temp))
        for gate in ("parity", "sealing", "leaks", "loosened"):
            program(gate, f"--base={base}", "--head=main", folder)

    assert before == sorted(folder.rglob("*"))
    assert [] == list(temp.iterdir())


def test_links_of_a_commit_lead_nowhere(repo: Repo, tmp_path: Path) -> None:
    """A link in place of the schema or of values is not followed to a file of this machine."""
    outside = tmp_path / "outside.yaml"
    outside.write_bytes((repo.root / "config/schema.yaml").read_bytes())

    def link(repo: Repo) -> None:
        (repo.root / "config/schema.yaml").unlink()
        (repo.root / "config/schema.yaml").symlink_to(outside)

    steps(repo, link)

    code, output = program("parity", bare(repo))

    assert 2 == code
    assert "has no config/schema.yaml" in output


def test_a_repository_is_read_by_its_places(repo: Repo) -> None:
    """Files, folders, and what does not exist are as in the folder."""
    commit = Repo(bare(repo), git.commit(repo.root, "HEAD"))

    assert commit.read("config/dev.env") == repo.read("config/dev.env")
    assert [name for name in repo.names("config") if name != "keys.md"] == commit.names("config")
    assert [True, False] == [commit.exists(place) for place in ("config/dev.env", "config/no.env")]
    for place in ("config/no.env", "config"):
        with pytest.raises(OSError, match="No such file"):
            commit.read(place)


def test_what_is_staged_is_no_commit(repo: Repo) -> None:
    """A head and the index at once would say nothing about either."""
    assert 2 == program("leaks", "--staged", "--head=HEAD", repo.root)[0]


def test_a_settings_file_of_git_has_no_power(repo: Repo, tmp_path: Path) -> None:
    """A hook, a watcher or a filter in the bare repository is not run."""
    folder, marker = bare(repo), tmp_path / "ran"
    for name, value in (("core.fsmonitor", f"touch {marker}"), ("core.hooksPath", str(tmp_path))):
        checkouts.git(folder, "config", name, value)

    assert 0 == program("parity", folder)[0]
    assert not marker.exists()
