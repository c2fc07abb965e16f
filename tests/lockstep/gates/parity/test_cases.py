import pytest

from ci.gates import parity
from ci.ground.repo import Repo
from tests.lockstep.gates.parity.cases import BAD, GOOD
from tests.lockstep.gates.parity.changes import Change, rules


@pytest.mark.parametrize(("rule", "change"), BAD, ids=[f"{rule}-{n}" for n, (rule, _) in enumerate(BAD)])
def test_what_is_wrong_is_found_by_its_rule(repo: Repo, rule: str, change: Change) -> None:
    """The rule that is meant is found, and no other."""
    change(repo)

    assert {rule} == rules(repo)


@pytest.mark.parametrize("change", GOOD, ids=[str(n) for n in range(len(GOOD))])
def test_what_is_right_is_left_alone(repo: Repo, change: Change) -> None:
    """No honest change is stopped."""
    change(repo)

    assert set() == rules(repo)


def test_every_rule_has_a_bad_checkout() -> None:
    """A rule that nothing trips would be a promise without proof; the one of --sealed is in test_values.py."""
    tripped = {rule for rule, _ in BAD} | {"shared-secret"}

    assert {one.id.removeprefix("parity/") for one in parity.RULES} == tripped
