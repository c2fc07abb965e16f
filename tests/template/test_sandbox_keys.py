"""The sandbox as a provider of keys."""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ci.ground import errors
from ci.rotation.providers import Job, sandbox
from runtime import Secret
from tests import checkouts, sandboxes


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    """A rotation of a running sandbox's only key."""
    with sandboxes.running(tmp_path) as running:
        about, plain = checkouts.schema().keys["SMS_PROVIDER_API_KEY"], {"SMS_PROVIDER_URL": running.url}
        yield Job("local", about, plain, Secret(running.key), f"lockstep-{secrets.token_hex(8)}")


def test_old_and_new_are_valid_until_the_old_one_is_revoked(job: Job) -> None:
    """Both are taken, then the new one alone; revoking again changes nothing."""
    new = sandbox.make(job)
    both = (sandbox.admits(job, job.old), sandbox.admits(job, new))
    sandbox.revoke(job, job.old, new)
    sandbox.revoke(job, job.old, new)

    assert (True, True) == both
    assert (False, True) == (sandbox.admits(job, job.old), sandbox.admits(job, new))


def test_a_key_that_was_made_and_lost_is_taken_back(job: Job) -> None:
    """When a kill comes before the new key is kept, the next try revokes it and makes another."""
    lost = sandbox.make(job)

    found = sandbox.make(job)

    assert (False, True) == (sandbox.admits(job, lost), sandbox.admits(job, found))


def test_silence_is_no_refusal(job: Job) -> None:
    """A provider that cannot be reached is a fault, never the proof that a key is refused."""
    gone = replace(job, plain={"SMS_PROVIDER_URL": "http://127.0.0.1:9"})

    with pytest.raises(errors.ProviderError, match="cannot be asked"):
        sandbox.admits(gone, job.old)
