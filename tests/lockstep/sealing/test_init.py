import os
import stat
from pathlib import Path

import pytest

from ci.ground import errors
from ci.ground.environments import TEMPLATE
from ci.ground.repo import LOCAL, Repo
from ci.sealing import environment, identity, init
from tests import checkouts

ENVIRONMENTS = ["dev", "staging", "prod"]


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_environment_fits_the_schema(repo: Repo, name: str) -> None:
    """After init, each environment opens with its own identity and has every key."""
    opened = environment.opened(repo, name)

    assert {key.name for key in repo.schema.secrets()} == set(opened.sealed)


@pytest.mark.parametrize("post_quantum", [False, True])
def test_identities_are_private_files_outside_the_repository(tmp_path: Path, *, post_quantum: bool) -> None:
    """Classic or post-quantum, each is a file of mode 0600 that is not in the checkout."""
    repo = checkouts.initialised(tmp_path / "repo", post_quantum=post_quantum)

    paths = [identity.path(repo, name) for name in ENVIRONMENTS]

    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in paths}
    assert not any(path.is_relative_to(repo.root) for path in paths)
    start = "AGE-SECRET-KEY-PQ-1" if post_quantum else "AGE-SECRET-KEY-1"
    assert all(f"\n{start}" in path.read_text() for path in paths)


def test_environments_share_no_recipient(repo: Repo) -> None:
    """The identity of one environment opens no other."""
    dev = identity.at_hand(repo, "dev")
    os.environ["LOCKSTEP_IDENTITY"] = dev.reveal()
    try:
        with pytest.raises(errors.WrongIdentityError):
            environment.sealed(repo, "prod")
    finally:
        del os.environ["LOCKSTEP_IDENTITY"]


def test_the_project_gets_its_name(repo: Repo) -> None:
    """environments.yaml says whose the repository is, and keeps its comments."""
    text = (repo.root / "config/environments.yaml").read_text()

    assert "acme" == repo.environments.project
    assert text.startswith("# Each environment")


def test_a_second_init_changes_nothing(repo: Repo) -> None:
    """A repository that is somebody's is not made somebody else's."""
    before = {path: path.read_bytes() for path in repo.root.rglob("*") if path.is_file()}

    with pytest.raises(errors.IdentityExistsError):
        init.init(Repo(repo.root), "other", checkouts.value)

    assert before == {path: path.read_bytes() for path in repo.root.rglob("*") if path.is_file()}


def test_an_identity_is_never_overwritten(tmp_path: Path) -> None:
    """An identity that is there is used, not replaced."""
    repo = checkouts.empty(tmp_path / "repo")
    kept = identity.path(repo, "prod", "acme")
    identity.make(repo, kept)
    before = kept.read_bytes()

    report = init.init(repo, "acme", checkouts.value)

    assert before == kept.read_bytes()
    assert ["prod"] == report.reused
    assert environment.opened(Repo(repo.root), "prod")


def test_a_value_that_is_not_given_is_reported(tmp_path: Path) -> None:
    """What cannot be generated and was not given is named, environment by environment."""
    report = init.init(checkouts.empty(tmp_path / "repo"), "acme", lambda _environment, _key: "")

    expected = ["DATABASE_URL", "REDIS_URL", "SMS_PROVIDER_API_KEY", "SMTP_PASSWORD"]
    assert dict.fromkeys(ENVIRONMENTS, expected) == report.missing


@pytest.mark.parametrize("name", ["", "Acme", "a b", "../x", TEMPLATE, "1a"])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    """The project's name becomes a folder's name and is kept simple."""
    with pytest.raises(errors.UsageError):
        init.init(checkouts.empty(tmp_path / "repo"), name, checkouts.value)


def test_a_bad_value_leaves_the_tree_as_it_was(tmp_path: Path) -> None:
    """One refused answer, and no file of the repository was written."""
    repo = checkouts.empty(tmp_path / "repo")
    before = sorted(path.name for path in repo.root.rglob("*"))

    with pytest.raises(errors.BadValueError):
        init.init(repo, "acme", lambda _environment, key: "nothing good" if key.name == "REDIS_URL" else "x" * 30)

    assert before == sorted(path.name for path in repo.root.rglob("*"))


def test_local_makes_its_own_once(tmp_path: Path) -> None:
    """A first deploy makes identity and secrets outside git; a second keeps them."""
    repo = checkouts.empty(tmp_path / "repo")

    init.own_values(repo, LOCAL)
    first = environment.opened(repo, LOCAL)
    init.own_values(repo, LOCAL)
    second = environment.opened(repo, LOCAL)

    assert first.sealed == second.sealed
    assert repo.sealed(LOCAL).is_relative_to(repo.state)


def test_given_lines_are_read_whole() -> None:
    """Every line that is wrong is named by its number, no value told."""
    values, problems = init.given("# a comment\ndev.A=1=2\nprod.B= x\nnonsense\n")

    assert "1=2" == values["dev", "A"]
    assert [
        "line 3: the value begins or ends with a blank",
        "line 4: is not environment.KEY=value",
    ] == problems
