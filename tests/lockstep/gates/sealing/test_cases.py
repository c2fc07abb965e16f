import pytest

from ci.gates import sealing
from ci.ground.repo import Repo
from tests.lockstep.gates.sealing.cases import BAD, GOOD
from tests.lockstep.gates.sealing.changes import Change
from tests.lockstep.gates.sealing.repos import rules


@pytest.mark.parametrize(("rule", "change"), BAD, ids=[f"{rule}-{n}" for n, (rule, _) in enumerate(BAD)])
def test_what_is_wrong_is_found_by_its_rule(repo: Repo, rule: str, change: Change) -> None:
    """Each bad checkout trips exactly one rule."""
    change(repo)

    assert {rule} == rules(repo)


@pytest.mark.parametrize("change", GOOD, ids=[str(n) for n in range(len(GOOD))])
def test_what_is_right_is_left_alone(repo: Repo, change: Change) -> None:
    """What sops and a careful colleague do trips nothing."""
    change(repo)

    assert set() == rules(repo)
    assert {"sealed files", "values", "recipients", "tracked files"} == set(sealing.check(repo).looked)


def test_every_rule_has_a_bad_checkout() -> None:
    """No rule is there that no test trips, and ids are unique."""
    own = {one.id.removeprefix("sealing/") for one in sealing.RULES}
    elsewhere = {
        "rules-nobody",
        "recipient-plugin",
        "recipient-weaker",
        "envelope-kind",
        "removed-reader",
        "rollback",
    }

    assert own == {rule for rule, _ in BAD} | elsewhere
    assert len(own) == len(sealing.RULES)
