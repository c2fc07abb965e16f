"""A real browser, without a window."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = """
    --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --enable-logging=stderr --virtual-time-budget=5000 --dump-dom
""".split()  # noqa: SIM905, as a list it is twelve lines


def shown(url: str, folder: Path) -> tuple[str, set[str]]:
    """Open a page; return it as it is after five (virtual) seconds, and all that it asked for.

    What the page complains of on its console fails the test.
    """
    browser = next((name for name in BROWSERS if shutil.which(name)), None)
    if browser is None:
        pytest.fail(f"none of {', '.join(BROWSERS)} is on PATH: apt-get install chromium")
    log = folder / "network.json"
    argv = [browser, *QUIET, f"--user-data-dir={folder / 'browser'}", f"--log-net-log={log}", url]
    done = subprocess.run(argv, capture_output=True, timeout=120, check=False)
    complaints = [line for line in done.stderr.decode().splitlines() if "CONSOLE" in line]

    assert complaints == []
    events = json.loads(log.read_text())["events"]
    origin = "/".join(url.split("/")[:3])
    requests = [event["params"] for event in events if event.get("params", {}).get("initiator") == origin]
    return done.stdout.decode(), {request["url"] for request in requests}
