"""A secret of `local` is replaced while messages go through: none is lost, the old value is refused in the end.

Killed behind any step the same command comes to the same end; until the old value is revoked it can be given up.
"""

import secrets
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psycopg
import pytest

from ci.ground import dotenv, errors
from ci.rotation import providers, rotate, state
from config import Secret
from tests import checkouts, kills, load, services

KEY, TOKENS, PASSWORD = "SMS_PROVIDER_API_KEY", "API_TOKENS", "SMTP_PASSWORD"
SCRIPT = """
import os, signal, sys
from ci.ground import repo
from ci.rotation import rotate

def killed(step):
    def run(rotation):
        step(rotation)
        os.kill(os.getpid(), signal.SIGKILL)
    run.__name__ = step.__name__
    return run

key, last = sys.argv[1:]
rotate.STEPS = tuple(killed(step) if step.__name__ == last else step for step in rotate.STEPS)
rotate.run(repo.here(), "local", key, rotate.Wish(yes=True))
"""

pytestmark = pytest.mark.server


def rotation(key: str) -> tuple[str, ...]:
    return "rotate", "--env=local", f"--key={key}"


def values(clone: checkouts.Clone) -> dict[str, str]:
    sealed, _ = dotenv.parse(clone.inv("decrypt", "--env=local").encode())
    plain, _ = dotenv.parse(clone.repo.plain("local").read_bytes())
    return {**plain, **sealed}


def taken(clone: checkouts.Clone, key: str, *asked: str) -> list[bool | None]:
    """Ask the key's provider whether it takes these values."""
    plain, _ = dotenv.parse(clone.repo.plain("local").read_bytes())
    provider = providers.of(providers.named(clone.repo, "local", key))
    job = providers.Job("local", clone.repo.schema.keys[key], plain, Secret(""), "")
    return [provider.admits(job, Secret(one)) for one in asked]


def kill_in(clone: checkouts.Clone, key: str, step: str) -> None:
    """Rotate in a process that kills itself when a step is done and not yet noted."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, key, step],
        cwd=clone.repo.root,
        env=clone.environ(),
        capture_output=True,
        check=False,
    )
    assert -signal.SIGKILL == done.returncode, done.stderr.decode()


@contextmanager
def under_way(clone: checkouts.Clone, pause: float = 0.03) -> Iterator[load.Sent]:
    """Have messages submitted for as long as the block runs; each must be accepted, and be sent, once."""
    now = values(clone)
    with load.messages(now["PUBLIC_BASE_URL"], now[TOKENS].split(",")[0], pause) as sent:
        yield sent
    assert ([], True) == (sent.refused, len(sent.accepted) > 0)
    url = values(clone)["DATABASE_URL"]
    services.until(lambda: statuses(url, sent.accepted) == {"sent": len(sent.accepted)}, 60)
    inbox = httpx.get(f"{now['SMS_PROVIDER_URL']}/inbox.json").raise_for_status().json()["messages"]
    twice = [one for one, times in Counter(one["reference"] for one in inbox).items() if times > 1]
    assert not set(twice) & set(sent.accepted)


def statuses(url: str, identifiers: list[str]) -> dict[str, int]:
    with psycopg.connect(url) as connection:
        asked = "SELECT status, count(*) FROM notifications WHERE id = ANY(%s::uuid[]) GROUP BY status"
        return {str(status): int(count) for status, count in connection.execute(asked, [identifiers])}


@pytest.mark.parametrize("key", [KEY, "DATABASE_URL", "REDIS_URL"])
def test_a_rotation_under_way_of_messages(clone: checkouts.Clone, key: str) -> None:
    """Every message that was accepted meanwhile is sent; it all runs on after a stop with the new value alone."""
    clone.inv("deploy")
    before = values(clone)[key]
    with under_way(clone):
        clone.inv(*rotation(key))
    after = values(clone)[key]
    refused_and_taken = taken(clone, key, before, after)
    clone.inv("stop")
    clone.inv("deploy")

    assert [False, True] == refused_and_taken == taken(clone, key, before, after)
    assert [key] == [one["key"] for one in state.records(clone.repo, "local")]


def test_the_roles_of_the_database_take_turns(clone: checkouts.Clone) -> None:
    """The third password is the first role's again; after a leak the old one goes before the deploy."""
    clone.inv("deploy")
    urls = [values(clone)["DATABASE_URL"]]
    for more in ((), ("--leaked", "--yes")):
        clone.inv(*rotation("DATABASE_URL"), *more)
        urls.append(values(clone)["DATABASE_URL"])

    assert ["lockstep", "lockstep_b", "lockstep"] == [one.split(":")[1].removeprefix("//") for one in urls]
    assert [False, False, True] == taken(clone, "DATABASE_URL", *urls)
    assert 2 == clone.inv("status").count(" ready ")


def test_api_tokens_overlap(clone: checkouts.Clone) -> None:
    """Old and new tokens are good until somebody confirms that the new ones are in use, then these alone."""
    clone.inv("deploy")
    old = values(clone)[TOKENS]
    with under_way(clone):  # with an old token
        clone.inv(*rotation(TOKENS), code=errors.NotConfirmedError.code)
    both = values(clone)[TOKENS].split(",")
    between = taken(clone, TOKENS, *both)
    with under_way(clone):  # with a new one
        clone.inv(*rotation(TOKENS), "--yes")
    new = values(clone)[TOKENS]

    assert ([new, old], [True, True]) == (both, between)
    assert [False, True] == taken(clone, TOKENS, old, new)


def test_a_password_that_is_made_by_hand(clone: checkouts.Clone) -> None:
    """It is given once; the sandbox, which learns it at its start, is started again before mail goes through."""
    clone.inv("deploy")
    value = secrets.token_urlsafe()
    clone.inv(*rotation(PASSWORD), "--yes", text=f"{value}\n", code=errors.SmokeError.code)
    clone.inv("stop")

    told = clone.inv(*rotation(PASSWORD), "--yes")

    assert "the old value of SMTP_PASSWORD of local is to go" in told
    assert value == values(clone)[PASSWORD]
    assert [PASSWORD] == [one["key"] for one in state.records(clone.repo, "local")]


def test_a_kill_behind_every_step(clone: checkouts.Clone) -> None:
    """Each time the same command ends with one valid key, which is the sealed one; no message minds."""
    clone.inv("deploy")
    keys = [values(clone)[KEY]]
    with under_way(clone, pause=0.1):
        for step in rotate.STEPS:
            kill_in(clone, KEY, step.__name__)
            clone.inv(*rotation(KEY))
            keys.append(values(clone)[KEY])
            assert None is state.read(clone.repo, "local", KEY), step
    valid, _, word = keys[-1].partition(":")
    listed = httpx.get(f"{values(clone)['SMS_PROVIDER_URL']}/v1/keys", auth=(valid, word)).json()["keys"]

    assert [False] * len(rotate.STEPS) + [True] == taken(clone, KEY, *keys)
    assert [valid] == [one["id"] for one in listed if not one["revoked"]]
    assert len(rotate.STEPS) == len(state.records(clone.repo, "local"))
    assert 2 == clone.inv("status").count(" ready ")


def test_a_rotation_given_up(clone: checkouts.Clone) -> None:
    """After --abort the old key is in the file and valid, and the new one is not."""
    clone.inv("deploy")
    before = values(clone)[KEY]
    kills.told(clone, "confirm", *rotation(KEY))
    between = values(clone)[KEY]

    clone.inv(*rotation(KEY), "--abort")

    assert before == values(clone)[KEY]
    assert [True, False] == taken(clone, KEY, before, between)
    assert 2 == clone.inv("status").count(" ready ")
