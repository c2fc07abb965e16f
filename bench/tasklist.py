"""`inv --list` here against a tasks.py that holds one empty task."""

import os
import sys
import tempfile
from pathlib import Path

from bench.measure import Program, Row, costs

ROOT = Path(__file__).parents[1]
INVOKE = [sys.executable, "-m", "invoke", "--list"]
EMPTY = "from invoke.tasks import task\n\n\n@task\ndef nothing(_context):\n    pass\n"


def rows() -> list[Row]:
    """Return the ratio of CPU; the bound is what an import at the top of tasks.py would break."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "tasks.py").write_text(EMPTY, encoding="utf-8")
        environ = {"PATH": os.environ["PATH"]}
        spent = costs({"ours": Program(INVOKE, ROOT, environ), "empty": Program(INVOKE, Path(folder), environ)})
    return [("inv --list, CPU / an empty tasks.py", spent["ours"].cpu / spent["empty"].cpu, 1.15)]
