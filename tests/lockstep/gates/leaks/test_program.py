from pathlib import Path

from ci.gates import leaks
from ci.ground.repo import Repo
from tests.lockstep.gates.leaks.repos import commit, dotenv, output


def test_an_exception_excuses_one_place(repo: Repo) -> None:
    """A finding that was looked at and accepted is silent, and an exception for nothing is not."""
    commit(repo, "a.env", dotenv())
    place = leaks.check(repo)[0].place
    text = (
        "exceptions:\n- {{rule: leaks/schema-key, place: '{}', reason: rotated long ago, expires: 2999-01-01}}\n"
    )
    (repo.root / "config/exceptions.yaml").write_text(text.format(place))

    assert 0 == output(repo)[0]


def test_nothing_is_left_on_disk(repo: Repo, tmp_path: Path) -> None:
    """The temp folder is empty afterwards, and no object was copied into it meanwhile."""
    commit(repo, "a.env", dotenv())
    temp = tmp_path / "temp"
    temp.mkdir()

    assert 1 == output(repo, environ={"TMPDIR": str(temp)})[0]
    assert [] == list(temp.iterdir())


def test_the_environment_has_no_power(repo: Repo) -> None:
    """Neither gitleaks' nor git's variables of the shell change the result."""
    commit(repo, "a.env", dotenv())
    stray = {
        "GITLEAKS_CONFIG_TOML": "[allowlist]\npaths=['.*']",
        "GIT_DIR": "/nowhere",
        "GIT_GRAFT_FILE": "/nowhere",
    }

    assert 1 == output(repo, environ=stray)[0]
