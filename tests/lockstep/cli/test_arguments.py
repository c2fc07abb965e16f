from pathlib import Path

import pytest

from ci.cli import arguments
from ci.ground import errors
from ci.ground.repo import Repo

OWN, SHARED = "engine: local, in_git: false", "engine: swarm"


def checkout(folder: Path, *environments: str) -> Repo:
    (folder / "config").mkdir()
    lines = "".join(f"  {name}: {{{about}}}\n" for name, about in zip("abc", environments, strict=False))
    (folder / "config/environments.yaml").write_text(f"project: acme\nenvironments:\n{lines}")
    return Repo(folder)


def test_the_environment_of_this_machine_is_the_default(tmp_path: Path) -> None:
    """Without --env a task means the one environment that is not in git, whatever its name."""
    assert "b" == arguments.environment(checkout(tmp_path, SHARED, OWN, SHARED), None)


@pytest.mark.parametrize("environments", [(SHARED, SHARED), (OWN, OWN)])
def test_without_a_default_one_must_be_named(tmp_path: Path, environments: tuple[str, ...]) -> None:
    """Where there is none of this machine, or more than one, the fault lists the choices."""
    with pytest.raises(errors.UsageError, match="no environment given") as caught:
        arguments.environment(checkout(tmp_path, *environments), None)

    assert caught.value.hint.endswith(": a, b")


@pytest.mark.parametrize("given", ["a", "", "other"])
def test_what_is_given_is_taken_as_it_is(tmp_path: Path, given: str) -> None:
    """An empty --env is not one that was left out: a variable of a script may be empty by mistake."""
    assert given == arguments.environment(checkout(tmp_path, OWN), given)
