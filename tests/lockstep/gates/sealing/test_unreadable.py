from collections.abc import Callable

import pytest

from ci.gates import sealing
from ci.ground.errors import GateError
from ci.ground.repo import Repo
from tests.lockstep.gates.sealing.unreadable import (
    below,
    broken_index,
    missing,
    no_git,
    no_secrets,
    other_worktree,
    shallow,
)


@pytest.mark.parametrize(
    ("prepare", "base"),
    [
        (shallow, "HEAD~"),
        (shallow, None),
        (missing, "HEAD~"),
        (lambda repo: repo, "HEAD"),
        (lambda repo: repo, "no-such-revision"),
        (lambda repo: repo, ""),
        (lambda repo: repo, "--all"),
        (lambda repo: repo, "HEAD:secrets"),
        (lambda repo: repo, "A..B"),
    ],
)
def test_a_history_that_cannot_be_looked_at(repo: Repo, prepare: Callable[[Repo], Repo], base: str | None) -> None:
    """A shallow clone, a missing object, a wrong revision and no commit are no clean result."""
    with pytest.raises(GateError):
        sealing.check_history(prepare(repo), base)


@pytest.mark.parametrize("prepare", [no_git, below, no_secrets, broken_index, other_worktree])
def test_a_folder_that_cannot_be_looked_at(repo: Repo, prepare: Callable[[Repo], Repo]) -> None:
    """Whatever is no whole checkout is no clean result."""
    with pytest.raises(GateError):
        sealing.check(prepare(repo))
