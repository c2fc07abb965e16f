from ci.gates import leaks
from ci.gates.leaks import rules
from tests.lockstep.gates.leaks.cases import BAD


def test_rule_ids_are_unique_and_every_one_has_cases() -> None:
    """Each rule of the gate's table has its own id and a case that trips it."""
    assert len({rule.id for rule in leaks.RULES}) == len(leaks.RULES)
    assert {f"leaks/{rule}" for rule in BAD} | {rules.UNREADABLE.id} == {rule.id for rule in leaks.RULES}
