"""Values that are made here: lists that overlap, and single ones."""

import secrets
from dataclasses import replace

import pytest

from ci import cli
from ci.ground import errors, ports
from ci.ground.schema import Key
from ci.rotation.providers import Job, generated
from runtime import Secret
from tests import checkouts

TOKENS = checkouts.schema().keys["API_TOKENS"]


def token() -> str:
    return secrets.token_urlsafe(24)


def job_of(old: str, about: Key = TOKENS, url: str = "") -> Job:
    plain = {"PUBLIC_BASE_URL": url or f"http://127.0.0.1:{ports.free()}"}
    return Job("prod", about, plain, Secret(old), f"lockstep-{secrets.token_hex(8)}", yes=True)


def parts(value: Secret) -> list[tuple[str, str]]:
    """Return scope and token of each."""
    return [(scope, bare) for scope, _, bare in (one.rpartition(":") for one in value.reveal().split(","))]


def test_a_list_holds_new_and_old() -> None:
    """Each new token has the scope of the old one in its place, and the old ones follow, as they are."""
    twice = token()
    old = f"{token()},read:{token()},submit:{token()},read:{twice},submit:{twice}"
    job = job_of(old)

    new = generated.make(job)

    made, kept = parts(new)[:5], new.reveal().split(",", maxsplit=5)[5]
    assert old == kept
    assert ["", "read", "submit", "read", "submit"] == [scope for scope, _ in made]
    assert made[3][1] == made[4][1]
    assert 4 == len({bare for _, bare in made} - {bare for _, bare in parts(job.old)})
    assert None is TOKENS.problem(new.reveal())


def test_revoke_leaves_the_new_ones() -> None:
    """What is to be sealed then has as many tokens as there were; the same is said when it is asked again."""
    job = job_of(f"{token()},read:{token()}")
    new = generated.make(job)

    left = cli.follow(generated.revoke(job, job.old, new))

    assert new.reveal() == f"{left.reveal()},{job.old.reveal()}"
    assert (
        left == cli.follow(generated.revoke(job, job.old, left)) == cli.follow(generated.revoke(job, job.old, new))
    )


def test_the_old_ones_go_when_somebody_says_so() -> None:
    """Those who use a token need time to change, so revoke waits; after a leak it does not."""
    job = replace(job_of(token()), yes=False)
    new = generated.make(job)
    with pytest.raises(errors.NotConfirmedError, match="the old values of API_TOKENS are about to be refused"):
        cli.follow(generated.revoke(job, job.old, new))

    left = cli.follow(generated.revoke(replace(job, leaked=True), job.old, new))

    assert 1 == len(parts(left))
    assert left == cli.follow(generated.revoke(job, job.old, left))


def test_given_up() -> None:
    """The old list is left as it was, whether or not the new one still held it."""
    job = replace(job_of(f"{token()},submit:{token()}"), yes=False)
    new = generated.make(job)
    left = cli.follow(generated.revoke(replace(job, leaked=True), job.old, new))

    assert job.old == cli.follow(generated.revoke(job, new, job.old))
    assert job.old == cli.follow(generated.revoke(job, left, job.old))


def test_a_single_value() -> None:
    """It follows its key's template, holds nothing old, and nobody can be asked about it."""
    key = Key("SIGNING_KEY", {"type": "string"}, {"secret": True, "generate": {"prod": "k_{hex}"}})
    job = replace(job_of("old", key), yes=False)

    new = generated.make(job)

    assert (True, 34) == (new.reveal().startswith("k_"), len(new.reveal()))
    assert new == cli.follow(generated.revoke(job, job.old, new))
    assert None is generated.admits(job, new)


def test_a_value_that_was_made_and_lost() -> None:
    """Nothing knows it, so nothing is taken back; the next one is another."""
    job = job_of(token())
    lost = generated.make(job)
    generated.sweep(job)

    assert lost != generated.make(job)


def test_silence_is_no_refusal() -> None:
    """An api that cannot be reached from here has not refused anything."""
    job = job_of(token())

    assert None is generated.admits(job, job.old)
