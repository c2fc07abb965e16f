"""Commands that are killed before or behind one of their steps, or in the midst of it."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.checkouts import Clone

ROOT = Path(__file__).parents[1]
SCRIPT = """
import os, random, signal, sys, threading
from pathlib import Path
from ci import cli
from ci.delivery import deploy, engines
from tests.lockstep.delivery import fake
engines.ENGINES["fake"] = fake.KIND
from ci.ground.repo import Repo
root, name, sha, last = sys.argv[1:]
def kill(_=None):
    os.kill(os.getpid(), signal.SIGKILL)
steps = []
for step in deploy.STEPS:
    if last == "in " + step.__name__:
        steps.append(lambda _: threading.Timer(random.uniform(0, 1.5), kill).start())
    steps.append(step)
    if step.__name__ == last:
        steps.append(kill)
deploy.STEPS = tuple(steps)
cli.follow(deploy.run(Repo(Path(root)), name, deploy.Options(sha=sha)))
"""
ROTATION = """
import os, signal, sys
from ci import cli
from ci.ground import events, repo
from ci.rotation import rotate
name, key, moment = sys.argv[1:]
def kill(now):
    if moment == now:
        os.kill(os.getpid(), signal.SIGKILL)
def around(step):
    def run(rotation):
        kill(f"before {step.__name__}")
        text = yield from events.result(step(rotation))
        kill(f"behind {step.__name__}")
        return text
    run.__name__ = step.__name__
    return run
rotate.STEPS = tuple(map(around, rotate.STEPS))
cli.follow(rotate.run(repo.here(), name, key, rotate.Options(yes=True, commit=True)))
"""


def deploy(root: Path, name: str, sha: str, step: str, environ: Mapping[str, str] | None = None) -> None:
    """Deploy in a process that kills itself when a step is done, or a moment after it began (`in STEP`)."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(root), name, sha, step],
        cwd=ROOT,
        env={**(environ or os.environ), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert -signal.SIGKILL == done.returncode, done.stderr.decode()


def rotation(clone: Clone, name: str, key: str, moment: str) -> None:
    """Rotate in a process that kills itself `before STEP`, or `behind STEP`, when that is done and not noted."""
    done = subprocess.run(
        [sys.executable, "-c", ROTATION, name, key, moment],
        cwd=clone.repo.root,
        env=clone.environ(),
        capture_output=True,
        check=False,
    )
    assert -signal.SIGKILL == done.returncode, done.stderr.decode()


def told(clone: Clone, step: str, *words: str) -> None:
    """Run `inv` in a clone and end it with SIGKILL as soon as it has told of a step."""
    killed = subprocess.Popen(
        [sys.executable, "-m", "invoke", *words],
        cwd=clone.repo.root,
        env=clone.environ() | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with killed:
        assert killed.stderr
        while not killed.stderr.readline().startswith(f"✓ {step} "):
            assert killed.poll() is None
        killed.send_signal(signal.SIGKILL)
