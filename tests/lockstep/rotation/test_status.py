"""What `inv rotation.status` shows."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ci.ground import errors, git
from ci.ground.repo import Repo
from ci.rotation import status
from ci.sealing import edit
from tests import checkouts
from tests.lockstep.sealing import vaults

DAY = timedelta(days=1)


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """A checkout after `inv init`, committed a hundred days ago."""
    with monkeypatch.context() as patch:
        for name in ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"):
            patch.setenv(name, (datetime.now(UTC) - 100 * DAY).isoformat())
        patch.setenv("GIT_AUTHOR_NAME", "Anna \x1b[31m")
        return vaults.committed(checkouts.initialised(tmp_path / "repo"))


def day(days: int) -> str:
    return (datetime.now(UTC) + days * DAY).date().isoformat()


def test_the_most_overdue_is_first(repo: Repo) -> None:
    """A row has environment, key, age, due day, the change's day, who, and what shows it; never due is last."""
    path = repo.root / "config/schema.yaml"
    path.write_text(path.read_text().replace("rotate_days: 90\n      provider: generated", "provider: generated"))
    edit.put(repo, "prod", "SMTP_PASSWORD", checkouts.value("prod", repo.schema.keys["SMTP_PASSWORD"]))
    sha = git.commit(repo.root, "HEAD")[: git.SHORT]

    found = list(status.rows(Repo(repo.root)))

    assert ["dev", "SMS_PROVIDER_API_KEY", "100 d", f"{day(-10)}, 10 d ago"] == found[0][:4]
    assert [day(-100), "Anna \\x1b[31m", sha] == found[0][4:]
    assert ["prod", "SMTP_PASSWORD", "0 d", f"{day(180)}, in 180 d", day(0)] == found[-4][:5]
    assert "not committed" == found[-4][-1]
    assert [[name, "API_TOKENS", "100 d", "-"] for name in ("dev", "prod", "staging")] == [
        row[:4] for row in found[-3:]
    ]
    assert 15 == len(found)


def test_what_the_gate_fails_is_called_overdue(repo: Repo) -> None:
    """After the time of grace the table says so, as the gate does."""
    later = datetime.now(UTC) + 5 * DAY

    assert f"{day(-10)}, 15 d ago, overdue" == next(iter(status.rows(repo, "dev", later)))[3]


def test_a_rotation_is_known_by_its_record(repo: Repo) -> None:
    """It is told who rotated, and that it was a rotation, not a commit."""
    row = {"environment": "dev", "key": "SMTP_PASSWORD", "who": "Bob", "when": f"{day(-3)}T12:00:00+00:00"}
    repo.record.write_text(f"{json.dumps(row)}\n")

    found = {one[1]: one for one in status.rows(repo, "dev")}

    assert ["3 d", f"{day(177)}, in 177 d", day(-3), "Bob", "inv rotate"] == found["SMTP_PASSWORD"][2:]
    assert "100 d" == found["DATABASE_URL"][2]


def test_one_environment_alone(repo: Repo) -> None:
    """Only its rows are shown, without any identity."""
    for file in (repo.root.parent / "home").rglob("*.agekey"):
        file.unlink()

    assert {"staging"} == {row[0] for row in status.rows(repo, "staging")}


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        ("prd", errors.UsageError, "no environment prd"),
        ("local", errors.UsageError, "local is not in git"),
        ("dev", errors.NotSealedError, "dev.enc.env is not there"),
    ],
)
def test_what_has_no_age(repo: Repo, name: str, error: type[errors.LockstepError], told: str) -> None:
    """An environment that is not there, not in git, or without a sealed file is an error, not an empty table."""
    repo.sealed("dev").unlink()

    with pytest.raises(error, match=told):
        list(status.rows(repo, name))


def test_no_history(repo: Repo, tmp_path: Path) -> None:
    """A shallow clone cannot tell an age."""
    vaults.commit(repo)
    checkouts.git(tmp_path, "clone", "-q", "--depth=1", f"file://{repo.root}", "shallow")

    with pytest.raises(errors.GateError, match="shallow"):
        list(status.rows(Repo(tmp_path / "shallow")))
