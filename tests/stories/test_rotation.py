"""A rotation that was killed can be given up until the old value is revoked."""

import signal
import subprocess
import sys

import httpx
import pytest

from ci.ground import dotenv
from tests import checkouts

KEY = "SMS_PROVIDER_API_KEY"
ROTATE = ("rotate", "--env=local", f"--key={KEY}")


def values(clone: checkouts.Clone) -> dict[str, str]:
    sealed, _ = dotenv.parse(clone.inv("decrypt", "--env=local").encode())
    plain, _ = dotenv.parse(clone.repo.plain("local").read_bytes())
    return {**plain, **sealed}


def answer(clone: checkouts.Clone, key: str) -> int:
    name, _, secret = key.partition(":")
    url = f"{values(clone)['SMS_PROVIDER_URL']}/v1/keys"
    return httpx.get(url, auth=(name, secret)).status_code


def kill_after(clone: checkouts.Clone, step: str) -> None:
    """Start the rotation and end it with SIGKILL as soon as it has told of a step."""
    killed = subprocess.Popen(
        [sys.executable, "-m", "invoke", *ROTATE],
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


@pytest.mark.server
def test_a_rotation_given_up(clone: checkouts.Clone) -> None:
    """After --abort the old key is in the file and valid, and the new one is not."""
    clone.inv("deploy")
    before = values(clone)[KEY]
    kill_after(clone, "confirm")
    between = values(clone)[KEY]

    clone.inv(*ROTATE, "--abort")

    assert before == values(clone)[KEY]
    assert (200, 401) == (answer(clone, before), answer(clone, between))
    assert 2 == clone.inv("status").count(" ready ")
