import json
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.gates import exceptions, output
from ci.gates.finding import Finding, Findings, Rule, finding
from ci.ground.errors import GateError
from ci.ground.repo import Repo

RULE = Rule("test/rule", "something", "an example", "mend it")
LOOKED = {"files": 2}
TODAY = date(2026, 1, 2)


def one(place: str = "a/b.env", key: str = "KEY") -> Finding:
    return finding(RULE, place, "is wrong", line=3, key=key)


def excusing(folder: Path, **change: object) -> Repo:
    """Return a checkout whose exceptions file holds one that excuses `one()`, but for the change."""
    about = {
        "rule": RULE.id,
        "place": "a/b.env",
        "reason": "a reason long enough",
        "expires": "2026-01-02",
    } | change
    (folder / "config").mkdir()
    lines = "".join(f"    {name}: {value}\n" for name, value in about.items())
    (folder / "config/exceptions.yaml").write_text(f"exceptions:\n  -\n{lines}")
    return Repo(folder)


@pytest.mark.parametrize("looked", [{}, {"files": 0}, {"files": 3, "commits": 0}])
def test_a_gate_that_looked_at_nothing_fails(looked: dict[str, int]) -> None:
    """No findings in nothing is no clean result."""
    with pytest.raises(GateError):
        Findings([], looked)


def test_findings_are_sorted_and_each_is_there_once() -> None:
    """Two ways to the same finding are one finding."""
    assert [one("a"), one("b")] == Findings([one("b"), one("a"), one("b")], LOOKED)


def test_an_exception_excuses_its_finding(tmp_path: Path) -> None:
    """On its last day it still does, and nothing else is excused."""
    repo = excusing(tmp_path)

    left = exceptions.apply(repo, [RULE], Findings([one(), one("other")], LOOKED), TODAY)

    assert [one("other")] == left


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"expires": "2026-01-01"}, {RULE.id, "exceptions/expired"}),
        ({"place": "gone"}, {RULE.id, "exceptions/useless"}),
        ({"key": "OTHER"}, {RULE.id, "exceptions/useless"}),
        ({"key": "KEY"}, set()),
        ({"rule": "another/gate"}, {RULE.id}),
    ],
)
def test_an_exception_that_does_not_fit(tmp_path: Path, change: dict[str, str], expected: set[str]) -> None:
    """Expired or useless, it is a finding itself; another gate's exception is left to that gate."""
    left = exceptions.apply(excusing(tmp_path, **change), [RULE], Findings([one()], LOOKED), TODAY)

    assert expected == {found.rule for found in left}


def test_a_partial_look_calls_no_exception_useless(tmp_path: Path) -> None:
    """A gate that saw only the staged files cannot know."""
    repo = excusing(tmp_path, place="not/staged")

    assert [] == exceptions.apply(repo, [RULE], Findings([], LOOKED), TODAY, whole=False)


@pytest.mark.parametrize(
    "change", [{"reason": "short"}, {"expires": "tomorrow"}, {"place": ""}, {"until": "2030-01-01"}]
)
def test_an_exception_without_reason_or_end_stops_the_gate(tmp_path: Path, change: dict[str, str]) -> None:
    """What is not understood might excuse too much."""
    with pytest.raises(GateError, match=r"exceptions\.yaml cannot be read"):
        exceptions.apply(excusing(tmp_path, **change), [RULE], Findings([], LOOKED), TODAY)


@given(st.binary())
def test_any_bytes_as_exceptions_stop_the_gate_or_excuse_nothing(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    """No file makes a finding disappear by being broken."""
    folder = tmp_path_factory.mktemp("any")
    (folder / "config").mkdir()
    (folder / "config/exceptions.yaml").write_bytes(data)

    try:
        left = exceptions.apply(Repo(folder), [RULE], Findings([one()], LOOKED), TODAY)
    except GateError:
        return

    assert [one()] == left


def test_text_is_three_lines_a_finding_and_a_count() -> None:
    """Place, key and rule; why; the cure; and last, what was looked at."""
    shown = output.text("test", [RULE], Findings([one()], LOOKED))

    assert (
        "a/b.env:3: test/rule KEY\n  is wrong\n  hint: mend it\ntest: 1 findings; looked at 2 files, with 1 rules"
        == shown
    )


def test_json_holds_everything() -> None:
    """A program gets the findings and the counts."""
    shown = json.loads(output.as_json("test", [RULE], Findings([one()], LOOKED)))

    assert {"gate": "test", "rules": 1, "looked": LOOKED, "findings": [vars(one())]} == shown


def test_sarif_has_what_scanners_need() -> None:
    """Version, rules, and for each result its rule, text and place."""
    shown = json.loads(output.sarif("test", [RULE], Findings([one()], LOOKED)))

    result = shown["runs"][0]["results"][0]
    assert "2.1.0" == shown["version"]
    assert ["test/rule"] == [rule["id"] for rule in shown["runs"][0]["tool"]["driver"]["rules"]]
    assert ("test/rule", "KEY is wrong; hint: mend it") == (result["ruleId"], result["message"]["text"])
    assert {"artifactLocation": {"uri": "a/b.env"}, "region": {"startLine": 3}} == result["locations"][0][
        "physicalLocation"
    ]


def test_an_annotation_cannot_be_broken_out_of() -> None:
    """Line ends, colons and commas in a file's name do not start another command."""
    shown = output.github("test", [RULE], Findings([one("a,b:c\n::error::x%")], LOOKED))

    assert "::error file=a%2Cb%3Ac%0A%3A%3Aerror%3A%3Ax%25,line=3,title=test/rule::KEY" in shown
    assert 2 == len(shown.splitlines())


@pytest.mark.parametrize(
    ("look", "code", "expected"),
    [
        ("Findings([], {'files': 1})", 0, "probe: 0 findings; looked at 1 files"),
        ("Findings([finding(RULE, 'a', 'is wrong')], {'files': 1})", 1, "a:1: probe/rule"),
        ("Findings([], {'files': 0})", 2, "there was nothing to look at"),
        ("1 / 0", 2, "a bug in the gate, ZeroDivisionError"),
        ("repo.schema", 2, "the schema is wrong"),
    ],
)
def test_the_exit_code_is_the_result(tmp_path: Path, look: str, code: int, expected: str) -> None:
    """0 clean, 1 findings, 2 could not run, and never a traceback."""
    (tmp_path / "probe.py").write_text(
        "from ci.gates import gate\nfrom ci.gates.finding import Findings, Rule, finding\n"
        "RULE = Rule('probe/rule', 'what', 'example', 'hint')\n"
        f"gate.run('probe', [RULE], lambda repo: {look}, gate.parser('probe').parse_args([{str(tmp_path)!r}]))\n"
    )

    done = subprocess.run(
        [sys.executable, tmp_path / "probe.py"],
        env={"PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (code, True) == (done.returncode, expected in done.stdout + done.stderr)
    assert not re.search("Traceback", done.stderr)
