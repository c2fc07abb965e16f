"""The sandbox's keys, and the program that a rotation asks."""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from runtime import Secret
from tests import sandboxes
from tests.worker import requests
from worker.sms.rotation import FaultError, Request, sandbox


@pytest.fixture
def about(tmp_path: Path) -> Iterator[Request]:
    """A request about a running sandbox's only key."""
    with sandboxes.running(tmp_path) as running:
        plain = {"SMS_PROVIDER": "sandbox", "SMS_PROVIDER_URL": running.url}
        yield Request(f"lockstep-{secrets.token_hex(8)}", plain, Secret(running.key))


def test_old_and_new_are_valid_until_the_old_one_is_revoked(about: Request) -> None:
    """Both are accepted, then the new one alone; revoking again changes nothing."""
    new = sandbox.make(about)
    both = (sandbox.admits(about, about.old), sandbox.admits(about, new))
    sandbox.revoke(about, about.old, new)
    sandbox.revoke(about, about.old, new)

    assert (True, True) == both
    assert (False, True) == (sandbox.admits(about, about.old), sandbox.admits(about, new))


def test_a_key_that_was_made_and_lost_is_revoked(about: Request) -> None:
    """When a kill comes before the new key is kept, the next attempt revokes it and makes another."""
    lost = sandbox.make(about)

    found = sandbox.make(about)

    assert (False, True) == (sandbox.admits(about, lost), sandbox.admits(about, found))


def test_silence_is_not_a_refusal(about: Request) -> None:
    """A provider that cannot be reached is a fault, never the proof that a key is refused."""
    gone = replace(about, plain={"SMS_PROVIDER_URL": "http://127.0.0.1:9"})

    with pytest.raises(FaultError, match="cannot be asked"):
        sandbox.admits(gone, about.old)


def test_a_rotation(about: Request) -> None:
    """The program answers each request; in the end the old key is refused and the new one accepted."""
    old = about.old.reveal()
    new = requests.answered(about, "make")["value"]
    answers = [
        requests.answered(about, "admit", new=new),
        requests.answered(about, "admits", value=new),
        requests.answered(about, "revoke", value=old, by=new),
        requests.answered(about, "admits", value=old),
    ]
    requests.answered(replace(about, old=Secret(new), tag="another"), "sweep")

    assert [{}, {"valid": True}, {}, {"valid": False}] == answers
    assert sandbox.admits(about, Secret(new))


def test_a_fault(about: Request) -> None:
    """What went wrong, and the fix, are printed as JSON, and the exit code says that it is one."""
    gone = replace(about, plain={**about.plain, "SMS_PROVIDER_URL": "http://127.0.0.1:9"})

    code, answer = requests.asked(gone, "make")

    wrong = "the sandbox cannot be asked, ConnectError"
    assert (1, {"error": wrong, "hint": "is it up? inv deploy", "refused": False}) == (code, answer)
