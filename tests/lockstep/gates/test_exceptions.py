"""The exceptions file by itself: which exception excuses what, and which of them a base has as well."""

import json
from datetime import date
from pathlib import Path

import pytest

from ci.gates import exceptions
from ci.gates.finding import Finding, Findings, Rule, finding
from ci.ground.errors import GateError
from ci.ground.repo import Repo

RULE = Rule("test/rule", "something", "an example", "fix it")
LOOSENED = Rule("loosened/rule", "something", "an example", "fix it")
TODAY = date(2026, 1, 2)
FOUND = finding(RULE, "a.env", "is wrong", key="KEY")


def written(folder: Path, *changes: dict[str, str]) -> Repo:
    """Return a checkout with an exception of the finding for each change of one."""
    usual = {"rule": RULE.id, "place": "a.env", "reason": "a reason long enough", "expires": "2026-01-02"}
    lines = [
        "".join(
            f"    {name}: {value if name == 'expires' else json.dumps(value)}\n" for name, value in each.items()
        )
        for each in (usual | change for change in changes)
    ]
    (folder / "config").mkdir(parents=True)
    (folder / exceptions.PLACE).write_text("exceptions:\n" + "".join(f"  -\n{each}" for each in lines))
    return Repo(folder)


def applied(repo: Repo, *found: Finding, rule: Rule = RULE, base: Repo | None = None) -> list[Finding]:
    return list(exceptions.apply(repo, [rule], Findings(found, {"files": 1}), TODAY, base=base))


@pytest.mark.parametrize(
    ("change", "trusted"),
    [
        ({}, True),
        ({"reason": "another reason"}, True),
        ({"expires": "2026-01-03"}, True),
        ({"expires": "2026-01-01"}, False),
        ({"place": "b.env"}, False),
        ({"rule": "test/other"}, False),
        ({"key": "KEY"}, False),
    ],
)
def test_an_exception_counts_when_the_base_has_it(
    tmp_path: Path,
    change: dict[str, str],
    trusted: bool,  # noqa: FBT001
) -> None:
    """For as long a time, the same rule, place and key; one that is new excuses nothing."""
    head, base = written(tmp_path / "head", {}), written(tmp_path / "base", change)

    assert ([] if trusted else ["2026-01-02"]) == [str(one["expires"]) for one in exceptions.untrusted(head, base)]
    assert ([] if trusted else [FOUND]) == applied(head, FOUND, base=base)


def test_each_exception_is_compared_with_its_own(tmp_path: Path) -> None:
    """Of several, the one whose time is longer than in the base is new."""
    base = written(tmp_path / "base", {}, {"place": "b.env", "expires": "2026-02-01"}, {"key": "KEY"})
    head = written(tmp_path / "head", {"expires": "2026-01-31"}, {"place": "b.env"}, {"key": "KEY"})

    assert [date(2026, 1, 31)] == [one["expires"] for one in exceptions.untrusted(head, base)]


def test_an_exception_that_is_over(tmp_path: Path) -> None:
    """It is a finding of the exceptions file, under the name of the rule that it was for."""
    repo = written(tmp_path, {"expires": "2026-01-01"})

    expected = finding(
        exceptions.EXPIRED, exceptions.PLACE, "the exception for a.env is over", line=1, key="test/rule"
    )
    assert [expected] == applied(repo)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"rule": "test/old/one"}, "there is no rule test/old/one"),
        ({"place": "config/exceptions.yaml!inside"}, "the gate finds nothing like it there"),
        ({"place": "gone!inside"}, "the file does not exist"),
    ],
)
def test_an_exception_of_nothing(tmp_path: Path, change: dict[str, str], why: str) -> None:
    """It says why, as far as it can be seen."""
    place = change.get("place", "a.env")
    (said,) = applied(written(tmp_path, change))

    assert (exceptions.USELESS.id, f"the exception for {place} excuses nothing: {why}") == (
        said.rule,
        said.message,
    )


def test_nothing_excuses_what_is_loosened(tmp_path: Path) -> None:
    """The exceptions file is part of what can be loosened."""
    found = finding(LOOSENED, "a.env", "is weaker", key="KEY")

    assert found in applied(written(tmp_path, {"rule": LOOSENED.id}), found, rule=LOOSENED)


def test_without_a_file_nothing_is_excused(tmp_path: Path) -> None:
    """A checkout needs none."""
    assert [FOUND] == applied(Repo(tmp_path), FOUND)


@pytest.mark.parametrize("text", ["[", "- 1\n", "exceptions: 1\n", "other: []\n"])
def test_a_file_that_cannot_be_read_stops_the_gate(tmp_path: Path, text: str) -> None:
    """It might excuse what it should not; what an exception has is said."""
    (tmp_path / "config").mkdir()
    (tmp_path / exceptions.PLACE).write_text(text)

    with pytest.raises(GateError) as caught:
        applied(Repo(tmp_path))

    assert "config/exceptions.yaml cannot be read" == str(caught.value)
    assert "each exception has rule, place, reason and expires (a date)" == caught.value.hint


@pytest.mark.parametrize(
    ("looked", "nothing"),
    [
        ({}, "0 of anything"),
        ({"files": 0}, "0 files"),
        ({"files": 0, "lines": 0, "commits": 1}, "0 files, 0 lines"),
    ],
)
def test_a_gate_says_what_it_did_not_look_at(looked: dict[str, int], nothing: str) -> None:
    """Each noun that it counted none of."""
    with pytest.raises(GateError) as caught:
        Findings([], looked)

    assert f"there was nothing to look at: {nothing}" == str(caught.value)
    assert "give the path of a whole checkout: python -m ci.gates.<name> PATH" == caught.value.hint


def test_what_two_gates_found() -> None:
    """Findings and counts of both, each once."""
    other = finding(RULE, "b.env", "is wrong")

    both = Findings([FOUND], {"files": 1, "lines": 2}) | Findings([FOUND, other], {"commits": 3, "lines": 4})

    assert [FOUND, other] == both
    assert {"files": 1, "lines": 4, "commits": 3} == both.looked


@pytest.mark.parametrize(
    ("words", "shown"),
    [("a b", "a b"), ("ü\n\x1b[1m\u202eä", "ü\\n\\x1b[1m\\u202eä"), ("\udcff", "\\udcff"), ("", "")],
)
def test_what_is_not_visible_is_escaped(words: str, shown: str) -> None:
    """In a place, a key and a message; the rest is as it is."""
    found = finding(Rule("test/warns", "", "", "fix it", "warning"), words, words, key=words)

    assert Finding("test/warns", shown, 1, shown, shown, "fix it", "warning") == found
