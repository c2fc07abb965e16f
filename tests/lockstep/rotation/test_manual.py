"""A value that a person makes at a console."""

import io
import secrets
import sys
from dataclasses import replace

import pytest

from ci import cli
from ci.ground import errors
from ci.rotation.providers import Job, manual
from runtime import Secret
from tests import checkouts

ABOUT = checkouts.schema().keys["SMTP_PASSWORD"]


@pytest.fixture
def job() -> Job:
    """A rotation of a mail server's password, with nobody who confirms."""
    return Job("prod", ABOUT, {}, Secret(secrets.token_urlsafe()), f"lockstep-{secrets.token_hex(8)}")


def give(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{value}\n".encode())))


def test_a_person_gives_the_value(
    job: Job, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What to do is told in numbered steps, the value comes on stdin, and is shown nowhere."""
    value = secrets.token_urlsafe()
    give(monkeypatch, value)

    assert Secret(value) == cli.follow(manual.make(job))

    shown = "".join(capsys.readouterr())
    assert "SMTP_PASSWORD of prod is made by hand: that user's password\n  1. " in shown
    assert value not in shown
    assert job.old.reveal() not in shown


def test_the_same_value_is_no_new_one(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """To give the old value again would have it revoked while it is in use."""
    give(monkeypatch, job.old.reveal())

    with pytest.raises(errors.BadValueError, match="that is the old value of SMTP_PASSWORD"):
        cli.follow(manual.make(job))


def test_nobody_can_be_asked(job: Job) -> None:
    """It is neither taken nor refused, and the gap is said."""
    assert None is manual.admits(job, job.old)  # type: ignore[func-returns-value]
    assert "fails until the deploy is through" in manual.gap


def test_a_person_revokes_it(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    """What to do is told, and it counts as done when somebody confirms; until then it is asked for again."""
    new = Secret(secrets.token_urlsafe())
    with pytest.raises(errors.NotConfirmedError, match="the old value of SMTP_PASSWORD is made invalid by hand"):
        cli.follow(manual.revoke(job, job.old, new))
    confirming = replace(job, yes=True)

    assert new == cli.follow(manual.revoke(confirming, job.old, new))
    assert job.old == cli.follow(manual.revoke(confirming, new, job.old))

    shown = "".join(capsys.readouterr())
    assert "1. at the same console, make the old value invalid" in shown
    assert not [one for one in (job.old, new) if one.reveal() in shown]
