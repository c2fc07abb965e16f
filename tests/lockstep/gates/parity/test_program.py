import os
import re
import subprocess
import sys

import pytest

from ci.ground.errors import GateError
from ci.ground.repo import Repo
from tests import checkouts
from tests.lockstep.gates.parity.changes import Change, line, no_services, put


@pytest.mark.parametrize(("change", "expected"), [(line("# x"), 0), (put("SMTP_PORT", "x"), 1), (no_services, 2)])
def test_exit_codes(repo: Repo, change: Change, expected: int) -> None:
    """0 is clean, 1 are findings, 2 could not look; the last line counts."""
    change(repo)

    done = subprocess.run(
        [sys.executable, "-m", "ci.gates.parity", str(repo.root)],
        cwd=checkouts.ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(repo.root)},
        capture_output=True,
        text=True,
        check=False,
    )

    keys = len(repo.schema.keys)
    counted = re.search(rf"parity: \d findings; looked at 4 environments, {keys} keys, \d+ values", done.stdout)
    assert expected == done.returncode
    assert (expected != GateError.code) == bool(counted)
    assert "Traceback" not in done.stderr
