import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from ci.ground.repo import Repo
from tests import checkouts
from tests.lockstep.gates.rotation.histories import PASSWORD, SMS, TOKENS, commit, made, put
from tests.lockstep.sealing.vaults import DEV

SARIF = jsonschema.Draft4Validator(
    json.loads((checkouts.ROOT / "tests/fixtures/sarif-2.1.0-rtm.5.json").read_bytes())
)


def printed(repo: Repo, *words: str) -> tuple[int, str]:
    """Run the gate as a module and return its exit code and all that it printed."""
    argv = [sys.executable, "-m", "ci.gates.rotation", *words, str(repo.root)]
    done = subprocess.run(argv, cwd=checkouts.ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


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


def no_files(repo: Repo) -> None:
    for name in (DEV, "staging", "prod"):
        repo.sealed(name).unlink()


def no_values(repo: Repo) -> None:
    repo.sealed("prod").write_text("<<<<<<< ours\n=======\n>>>>>>> theirs\n")


def damaged_record(repo: Repo) -> None:
    repo.record.write_text('{"environment": "dev"\n')


def record_of_the_future(repo: Repo) -> None:
    row = {"environment": DEV, "key": PASSWORD, "who": "Dora", "when": "2999-01-01T00:00:00+00:00"}
    repo.record.write_text(f"{json.dumps(row)}\n")


def no_commit(repo: Repo) -> None:
    checkouts.git(repo.root, "update-ref", "-d", "HEAD")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (no_files, "there was nothing to look at: 0 sealed files, 0 values"),
        (no_values, "secrets/prod.enc.env holds no sealed value"),
        (damaged_record, "config/rotations.jsonl cannot be read"),
        (record_of_the_future, "config/rotations.jsonl cannot be read"),
        (no_commit, "git rev-parse failed here"),
    ],
)
def test_what_cannot_be_told_is_no_clean_result(repo: Repo, change: object, expected: str) -> None:
    """A gate that could not look ends with 2 and says why."""
    assert callable(change)
    change(repo)

    code, shown = printed(repo)
    assert (2, True) == (code, expected in shown), shown
