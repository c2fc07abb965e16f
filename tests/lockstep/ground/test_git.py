"""Git as it is run here: what of the user's counts, and what does not."""

from pathlib import Path

import pytest

from ci.ground.git import Git
from tests import checkouts


@pytest.mark.parametrize("own", [True, False])
def test_hooks_of_a_commit_in_the_users_name_may_fetch(tmp_path: Path, *, own: bool) -> None:
    """What runs git for a gate is kept from the network; a hook of the user's may install what it needs."""
    checkouts.git(tmp_path, "init", "-q")
    checkouts.named(tmp_path)
    hook = tmp_path / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ngit config protocol.allow >seen || :\n")
    hook.chmod(0o755)

    Git(tmp_path, own=own)("-c", "commit.gpgsign=false", "commit", "--allow-empty", "-qm", "x")

    assert ("" if own else "never\n") == (tmp_path / "seen").read_text()
