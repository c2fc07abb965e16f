"""The live api keeps what its own OpenAPI document says: schemathesis asks it with good and bad requests.

Always with the same ones, fifteen for each operation and phase; `nox -s soak` has two hundred, new ones each time.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import figures
from tests.app.asked import Api
from tests.load import LONG
from tests.services import ROOT, execute

DEAD = 40  # a replay takes one, and is refused for one that was replayed
SAME = ("--max-examples", "15", "--seed", "1", "--generation-deterministic")

pytestmark = pytest.mark.server


def test_the_api_keeps_its_contract(api: Api, tmp_path: Path) -> None:
    """Every check of schemathesis holds in every phase, for all that each operation answers."""
    known = [api.submit()["id"] for _ in range(DEAD)]
    execute(api.environ, "UPDATE notifications SET status = 'dead'")
    tool = (str(Path(sys.executable).with_name("schemathesis")), "run", f"{api.running.url}/openapi.json")
    length = ("--max-examples", "200") if LONG else SAME
    hooks = {"PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.app.formats", "KNOWN": ",".join(known)}
    done = subprocess.run(
        [*tool, *length, "--checks", "all", "--no-color", "--header", f"Authorization: Bearer {api.tokens[0]}"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]} | hooks,
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == done.returncode, done.stdout
    assert "WARNINGS" not in done.stdout, done.stdout  # it never met more than a 404, say
    [told] = re.findall(r"Test cases:\n *(\d+ generated, \d+ passed.*)", done.stdout)
    figures.tell(f"{told} in {', '.join(re.findall('✅ ([A-Z][a-z]+)', done.stdout))}")
