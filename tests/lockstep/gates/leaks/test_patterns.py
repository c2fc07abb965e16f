from ci.gates import leaks
from ci.gates.leaks import patterns, placeholders, rules, scanner
from tests import checkouts
from tests.lockstep.gates.leaks.cases import BAD


def test_rule_ids_are_unique_and_every_pattern_has_one() -> None:
    """What gitleaks is given is what the gate's table names."""
    listed = patterns.every(checkouts.schema().keys.values())

    assert len({rule.id for rule in leaks.RULES}) == len(leaks.RULES)
    assert {one.rule for one in listed} <= set(leaks.RULES)
    assert len({one.id for one in listed}) == len(listed)
    assert {f"leaks/{rule}" for rule in BAD} | {rules.UNREADABLE.id} == {rule.id for rule in leaks.RULES}


def test_every_pattern_finds_its_own_canary() -> None:
    """A canary that is no example of its pattern would fail every run, and one that is a placeholder none."""
    judge = placeholders.Judge(checkouts.schema().keys.values())
    for one in patterns.every(checkouts.schema().keys.values()):
        (match,) = one.matches(one.example.format(**scanner._random()).encode())

        assert one.rule is rules.SCHEMA_KEY or not judge.dismisses(match, one.rule)
