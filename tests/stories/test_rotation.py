"""A rotation that was killed can be given up until the old value is revoked."""

import httpx
import pytest

from ci.ground import dotenv
from tests import checkouts, kills

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


@pytest.mark.server
def test_a_rotation_given_up(clone: checkouts.Clone) -> None:
    """After --abort the old key is in the file and valid, and the new one is not."""
    clone.inv("deploy")
    before = values(clone)[KEY]
    kills.told(clone, "confirm", *ROTATE)
    between = values(clone)[KEY]

    clone.inv(*ROTATE, "--abort")

    assert before == values(clone)[KEY]
    assert (200, 401) == (answer(clone, before), answer(clone, between))
    assert 2 == clone.inv("status").count(" ready ")
