import secrets

import pytest

from ci.gates import leaks
from ci.ground.repo import Repo
from tests.lockstep.gates.leaks.repos import commit, ids


@pytest.mark.parametrize(
    "content", [b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07\x01", b"PK\x03\x04broken", b"\x1f\x8b\x08junk"]
)
def test_an_archive_that_cannot_be_opened(repo: Repo, content: bytes) -> None:
    """What nobody can look into is told, not passed over."""
    commit(repo, "thing", content + secrets.token_bytes(40))

    assert ["leaks/unreadable-archive"] == ids(leaks.check(repo))
