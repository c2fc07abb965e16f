import re
from collections import Counter
from pathlib import Path

import pytest

from ci.gates import rules
from ci.gates.finding import Rule, finding

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
    """Each rule says what, how it is broken and how to fix it, in four cells of one line."""
    (row,) = [line for line in rules.table().split("\n") if line.startswith(f"| `{rule.id}` |")]

    assert all((rule.what, rule.example, rule.hint))
    assert 5 == row.replace("\\|", "").count("|")


@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: rule.id)
def test_the_placeholders_of_a_hint_are_filled(rule: Rule) -> None:
    """No placeholder is left, in braces or as a word in capitals, and names that hold such a word stay whole."""
    found = finding(rule, "secrets/FILE of {key}.env", "is wrong", key="ENV_KEY_FILE")

    hint = found.filled("environment").hint

    filled = ("'secrets/FILE of {key}.env'", "ENV_KEY_FILE", "environment")
    for placeholder, name in zip(("{file}", "{key}", "{environment}"), filled, strict=True):
        assert rule.hint.count(placeholder) <= hint.count(name)
        hint = hint.replace(name, "")
    assert not re.search(r"[{}]|\bENV\b|\bFILE\b|--key=KEY", hint)


def test_a_hint_without_an_environment_is_a_synopsis() -> None:
    """What is not known of a finding is a word in capitals, once and for all."""
    rule = Rule("test/rule", "what", "example", "inv set --env={environment} --key={key} < {file}")

    found = finding(rule, "a.env", "is wrong").filled("")

    assert "inv set --env=ENV --key=KEY < a.env" == found.hint
    assert found == found.filled("dev")


def test_a_row_is_markdown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Words are words whatever marks are in them, and each line of an example is code; `main` writes the table."""
    rule = Rule("test/rule", "`a` *b* _c_ <d> [e] f|g \\ X", "one | X\n  two three", "h")
    monkeypatch.setattr(rules, "EVERY", {"test": (rule,)})
    monkeypatch.setattr(rules, "__file__", str(tmp_path / "ci/gates/rules.py"))
    (tmp_path / "docs").mkdir()

    rules.main()

    cells = r"\`a\` \*b\* \_c\_ \<d\> \[e] f\|g \\ X", r"`one \| X`<br>`two three`", "h"
    *_, row = (tmp_path / "docs/rules.md").read_text().splitlines()
    assert f"| `test/rule` | {' | '.join(cells)} |" == row
    assert rules.table() == (tmp_path / "docs/rules.md").read_text()
