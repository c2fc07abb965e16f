"""The live api keeps what its own OpenAPI document says: schemathesis asks it with good and bad requests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.app.asked import Api
from tests.services import ROOT

pytestmark = pytest.mark.server
OPTIONS = ("--checks", "all", "--max-examples", "15", "--seed", "1", "--generation-deterministic", "--no-color")


def test_the_api_keeps_its_contract(api: Api, tmp_path: Path) -> None:
    """Every check of schemathesis holds in every phase, for what each operation answers."""
    url = f"{api.running.url}/openapi.json"
    tool = (str(Path(sys.executable).with_name("schemathesis")), "run", url)
    done = subprocess.run(
        [*tool, *OPTIONS, "--header", f"Authorization: Bearer {api.tokens[0]}"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.app.formats"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == done.returncode, done.stdout
    assert "Operations:" in done.stdout
