"""The verbs, as a user runs them: what they say, in the order of somebody's stay."""

import secrets

import pytest

from ci.sealing import identity
from tests import checkouts
from tests.checkouts import Clone


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    made = checkouts.fixture(tmp_path_factory.mktemp("verbs"))
    made.inv("init", "--name=acme", text=checkouts.answers(made.repo))
    return made


def test_somebody_comes_and_goes(clone: Clone) -> None:
    """Added, shown, removed; what they know is shown until it has been changed."""
    who = identity.make(clone.repo, clone.temp / "anna.agekey")
    keys = [key.name for key in clone.repo.schema.secrets()]

    clone.inv("recipients.add", "--env=dev", f"--recipient={who}", "--name=Anna")

    assert f"Anna  {who[:16]}…  dev\n" in clone.inv("recipients.list")
    told = clone.inv("recipients.remove", "--env=dev", "--name=Anna")
    assert f"could read {len(keys)} values" in told
    assert all(f"inv rotate --env=dev --key={key}\n" in told for key in keys)
    clone.inv("set", "--env=dev", "--key=SMTP_PASSWORD", text=secrets.token_urlsafe())
    shown = clone.inv("recipients.list", "--env=dev")
    assert "--key=SMTP_PASSWORD" not in shown
    assert "inv rotate --env=dev --key=API_TOKENS" in shown
    assert "one recipient alone opens dev" in shown


def test_a_value_is_proposed_and_accepted(clone: Clone) -> None:
    """It goes in by stdin and comes out of decrypt."""
    value = secrets.token_urlsafe()

    clone.inv("propose", "--env=staging", "--key=SMTP_PASSWORD", text=f"{value}\n")
    clone.inv("accept", "--env=staging")
    clone.inv("accept", "--env=staging")

    assert f"SMTP_PASSWORD={value}\n" in clone.inv("decrypt", "--env=staging")


def test_an_identity_is_replaced(clone: Clone) -> None:
    """Each step tells the next one, and the file for CI."""
    before = clone.inv("decrypt", "--env=prod")

    told = clone.inv("keys.rotate", "--env=prod")

    file = clone.home / ".config/lockstep/acme/prod.next.agekey"
    assert f"gh secret set LOCKSTEP_IDENTITY --env prod < {file}\n" in told
    assert "inv keys.rotate --env=prod --finish" in told
    assert "AGE-SECRET-KEY-" not in told
    assert f"{file.with_name('prod.agekey')} is the new identity" in clone.inv(
        "keys.rotate", "--env=prod", "--finish"
    )
    assert before == clone.inv("decrypt", "--env=prod")
