import re
import secrets

import pytest

from ci.ground.repo import Repo
from tests.lockstep.gates.sealing.changes import rulestext
from tests.lockstep.gates.sealing.colleagues import joined
from tests.lockstep.gates.sealing.envelopes import stranger, with_recipient
from tests.lockstep.gates.sealing.repos import rules


@pytest.mark.parametrize(
    "who",
    [
        stranger(58, "age1yubikey1"),
        stranger(40, "age1tag1"),
        f"ssh-ed25519 {secrets.token_hex(34)}",
        stranger(57),
        stranger(58).upper(),
        "age1",
        "hunter2",
    ],
    ids=["yubikey", "tag", "ssh", "short", "upper", "bare", "word"],
)
def test_a_recipient_that_is_not_ages_own(repo: Repo, who: str) -> None:
    """Plugins, SSH keys and slips are found in the rules, and no envelope is of their kind."""
    with_recipient(who)(repo)

    assert {"recipient-plugin", "envelope-kind"} == rules(repo)


def test_a_rule_without_recipients(repo: Repo) -> None:
    """Nobody may open the file, and somebody can."""
    rulestext(lambda old: re.sub(r"age:\n      - age1\w+", "age: []", old, count=1))(repo)

    assert {"rules-nobody", "recipient-extra"} == rules(repo)


def test_recipients_in_another_order(repo: Repo) -> None:
    """The order of recipients means nothing."""
    joined(repo)
    rulestext(lambda old: re.sub(r"(      - \w+\n)(      - \w+\n)", r"\2\1", old, count=1))(repo)

    assert set() == rules(repo)
