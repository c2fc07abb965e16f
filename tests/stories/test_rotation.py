"""A secret of `local` is replaced while messages go through: none is lost, the old value is refused in the end.

Killed before or behind any step the same command comes to the same end; until the old value is revoked it can be
given up. In CI the SMS key's is killed behind each step; `nox -s soak` has every moment of each key, at 50
messages a second.
"""

import secrets
from collections.abc import Iterator

import pytest

from ci.ground import errors
from ci.rotation import state
from ci.sealing import environment
from tests import checkouts, kills, rotations
from tests.load import LONG
from tests.rotations import DATABASE, KEYS, SMS, TOKENS, Environment

PASSWORD = "SMTP_PASSWORD"
KILLED = [(key, rotations.MOMENTS) for key in KEYS] if LONG else [(SMS, rotations.BEHIND)]

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """A newcomer's `local`, which runs; all of it is removed at the end."""
    clone = checkouts.clone(tmp_path_factory.mktemp("rotation"))
    clone.inv("deploy")
    plain = environment.plain(clone.repo, "local")
    yield Environment(clone, "local", plain["PUBLIC_BASE_URL"], clone.repo.state_of("local") / "logs/sandbox.log")
    clone.inv("stop", "--purge")


def test_rotations_under_way_of_messages(local: Environment) -> None:
    """Every message that was accepted meanwhile is sent; it all runs on after a stop with the new values alone."""
    before = local.values()
    with local.messages("three rotations"):
        for key in KEYS:
            local.rotate(key)
    after = local.values()
    told = [local.taken(key, before[key], after[key]) for key in KEYS]
    local.clone.inv("stop")
    local.clone.inv("deploy")

    assert [[False, True]] * 3 == told == [local.taken(key, before[key], after[key]) for key in KEYS]
    assert list(KEYS) == [one["key"] for one in state.records(local.clone.repo, "local")]


@pytest.mark.parametrize(("key", "moments"), KILLED)
def test_kills(local: Environment, key: str, moments: tuple[str, ...]) -> None:
    """Each time the same command ends with one valid value, which is the sealed one; no message minds."""
    before = len(state.records(local.clone.repo, "local"))
    with local.messages(f"{key}, {len(moments)} kills"):
        values = local.killed(key, moments)

    assert len(moments) + 1 == len(set(values))
    assert [False] * len(moments) + [True] == local.taken(key, *values)
    assert len(moments) == len(state.records(local.clone.repo, "local")) - before
    assert None is state.read(local.clone.repo, "local", key)
    assert 1 == local.valid_keys()
    assert 3 == local.clone.inv("status").count(" ready ")


def test_the_roles_of_the_database_take_turns(local: Environment) -> None:
    """The third password is the first role's again; after a leak the old one goes before the deploy."""
    urls = [local.values()[DATABASE]]
    for more in ((), ("--leaked", "--yes")):
        local.rotate(DATABASE, *more)
        urls.append(local.values()[DATABASE])
    roles = [one.split(":")[1].removeprefix("//") for one in urls]

    assert {"lockstep", "lockstep_b"} == set(roles)
    assert roles[0] == roles[2] != roles[1]
    assert [False, False, True] == local.taken(DATABASE, *urls)
    assert 3 == local.clone.inv("status").count(" ready ")


def test_api_tokens_overlap(local: Environment) -> None:
    """Old and new tokens are good until somebody confirms that the new ones are in use, then these alone."""
    old = local.values()[TOKENS]
    with local.messages("an old token"):
        local.rotate(TOKENS, code=errors.NotConfirmedError.code)
    both = local.values()[TOKENS].split(",")
    between = local.taken(TOKENS, *both)
    with local.messages("a new token"):
        local.rotate(TOKENS, "--yes")
    new = local.values()[TOKENS]

    assert ([new, old], [True, True]) == (both, between)
    assert [False, True] == local.taken(TOKENS, old, new)


def test_a_rotation_given_up(local: Environment) -> None:
    """After --abort the old key is in the file and valid, and the new one is not."""
    before = local.values()[SMS]
    kills.rotation(local.clone, "local", SMS, "behind confirm")
    between = local.values()[SMS]

    local.rotate(SMS, "--abort")

    assert before == local.values()[SMS]
    assert [True, False] == local.taken(SMS, before, between)
    assert 3 == local.clone.inv("status").count(" ready ")


def test_a_password_that_is_made_by_hand(local: Environment) -> None:
    """It is given once; the sandbox has it from the deploy on, like every service, and mail goes through."""
    value = secrets.token_urlsafe()

    told = local.clone.inv("rotate", "--env=local", f"--key={PASSWORD}", "--yes", text=f"{value}\n")

    assert "the old value of SMTP_PASSWORD of local is to go" in told
    assert value == local.values()[PASSWORD]
    assert PASSWORD == state.records(local.clone.repo, "local")[-1]["key"]
