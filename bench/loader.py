"""The loader against its peers: a fresh process that loads and checks the same 16 keys."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.measure import Program, Row, costs

ROOT = Path(__file__).parents[1]
LOADERS = Path(__file__).with_name("loaders")
PEERS = ("pydantic_settings", "environs", "dynaconf")
VALUES = {
    "ENVIRONMENT": "staging",
    "DATABASE_URL": "postgresql://lockstep@db.internal:5432/lockstep",
    "DATABASE_POOL_SIZE": "10",
    "DATABASE_TIMEOUT_SECONDS": "5",
    "REDIS_URL": "rediss://redis.internal:6379/0",
    "LOG_LEVEL": "info",
    "LOG_FORMAT": "json",
    "SHUTDOWN_GRACE_SECONDS": "30",
    "WORKER_CONCURRENCY": "4",
    "DELIVERY_ATTEMPTS": "8",
    "SMS_PROVIDER": "twilio",
    "SMS_PROVIDER_URL": "https://api.twilio.com",
    "SMS_SENDER": "+14155550100",
    "SMTP_HOST": "smtp.example.com",
    "SMTP_PORT": "587",
    "SMTP_PASSWORD": "not-a-secret",
}
CUT = """
import sys
from pathlib import Path
from ci.ground import generate, schema
place, *names = sys.argv[1:]
whole = schema.read()
keys = {name: whole.keys[name] for name in names}
Path(place).write_text(generate.keys_module(schema.Schema(keys, whole.services)))
"""


def rows() -> list[Row]:
    """Return CPU and memory of our loader as ratios to each peer's, what is ours over bare Python first."""
    with tempfile.TemporaryDirectory() as folder:
        _ours(Path(folder))
        programs = {
            name: Program([sys.executable, str(LOADERS / f"{name}_.py")], Path(folder), _environ(Path(folder)))
            for name in ("bare", "ours", *PEERS)
        }
        spent = costs(programs)
    ours = spent["ours"]
    cpu, memory = {"pydantic_settings": 0.3}, {"pydantic_settings": 0.5}
    return [
        ("loader, CPU / bare python", ours.cpu / spent["bare"].cpu, None),
        *((f"loader, CPU / {peer}", ours.cpu / spent[peer].cpu, cpu.get(peer)) for peer in PEERS),
        *((f"loader, memory / {peer}", ours.memory / spent[peer].memory, memory.get(peer)) for peer in PEERS),
    ]


def _ours(folder: Path) -> None:
    """Put the real runtime package beside compiled keys that are cut down to the 16."""
    shutil.copytree(ROOT / "runtime", folder / "runtime", ignore=shutil.ignore_patterns("__pycache__"))
    # Not in this process, whose memory its children's begins with: Cerberus and YAML would count as theirs.
    argv = [sys.executable, "-c", CUT, str(folder / "runtime/keys.py"), *VALUES]
    subprocess.run(argv, cwd=ROOT, check=True)  # noqa: S603


def _environ(folder: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder), **VALUES}
