from collections import Counter

import pytest

from ci.gates import rules
from ci.gates.finding import Rule

EVERY = [rule for each in rules.EVERY.values() for rule in each]


def test_no_id_is_used_twice() -> None:
    """One id is one rule, in all gates together."""
    assert [] == [name for name, times in Counter(rule.id for rule in EVERY).items() if times > 1]


@pytest.mark.parametrize("gate", rules.EVERY)
def test_an_id_begins_with_its_gate(gate: str) -> None:
    """Whoever reads an id knows which gate to run."""
    assert [] == [rule.id for rule in rules.EVERY[gate] if not rule.id.startswith(f"{gate}/")]


@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: rule.id)
def test_a_row_is_whole(rule: Rule) -> None:
    """Each rule says what, how it is broken and how it is cured, in four cells of one line."""
    (row,) = [line for line in rules.table().split("\n") if line.startswith(f"| `{rule.id}` |")]

    assert all((rule.what, rule.example, rule.hint))
    assert 5 == row.replace("\\|", "").count("|")
