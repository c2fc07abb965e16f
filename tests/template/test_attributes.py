"""What git makes of the files of a checkout, whatever the settings of a machine are."""

import subprocess
from pathlib import Path

from tests import checkouts


def test_a_checkout_has_the_lines_that_were_committed(tmp_path: Path) -> None:
    """With core.autocrlf=true, as Git for Windows sets it, sealed files and `run` get no carriage return."""
    names = [".gitattributes", "run", *checkouts.tracked("secrets", "config")]
    origin = tmp_path / "origin"
    checkouts.copy({name: checkouts.ROOT / name for name in names}, origin)
    checkouts.git(origin, "init", "-q", "-b", "main")
    checkouts.named(origin)
    checkouts.git(origin, "add", "-A")
    checkouts.git(origin, "commit", "-qm", "everything")

    words = ["git", "clone", "-q", "-c", "core.autocrlf=true", str(origin), str(tmp_path / "clone")]
    subprocess.run(words, check=True)

    assert [] == [name for name in names if b"\r" in (tmp_path / "clone" / name).read_bytes()]
