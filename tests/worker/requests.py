"""Requests of a rotation to the program that answers them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from worker.sms.rotation import VARIABLE, Request

ROOT = Path(__file__).parents[2]


def asked(about: Request, ask: str, **values: str) -> tuple[int, Any]:
    """Run the program for one request, and return its exit code and what it printed."""
    request = {"ask": ask, "tag": about.tag, "plain": about.plain, "old": about.old.reveal(), **values}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "worker.sms.rotation"],
        input=json.dumps(request).encode(),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], VARIABLE: about.main.reveal()},
        capture_output=True,
        check=False,
    )
    assert b"" == done.stderr
    return done.returncode, json.loads(done.stdout)


def answered(about: Request, ask: str, **values: str) -> Any:
    """Return the answer to a request that succeeds."""
    code, answer = asked(about, ask, **values)
    assert 0 == code, answer
    return answer
