import stat
from pathlib import Path

import pytest

from ci.ground import files


def test_replace_writes_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    """After a write there is one file, with the new content and the asked-for mode."""
    path = tmp_path / "folder/file"
    files.replace(path, "old")

    files.replace(path, b"new", mode=0o600)

    assert [path] == list(path.parent.iterdir())
    assert (b"new", 0o600) == (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))


def test_a_failed_replace_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the move fails, the old content is there and no half of the new."""
    path = tmp_path / "file"
    files.replace(path, "old")
    monkeypatch.setattr("os.fsync", lambda _descriptor: (_ for _ in ()).throw(OSError("disk full")))

    with pytest.raises(OSError, match="disk full"):
        files.replace(path, "new")

    assert [path] == list(tmp_path.iterdir())
    assert "old" == path.read_text()


def test_create_never_overwrites(tmp_path: Path) -> None:
    """A second create fails and the first content stays, readable by its owner alone."""
    path = tmp_path / "file"
    files.create(path, b"first")

    with pytest.raises(FileExistsError):
        files.create(path, b"second")

    assert (b"first", 0o600) == (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
