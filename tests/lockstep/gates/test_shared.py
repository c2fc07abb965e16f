import json
import re
import secrets
import subprocess
import sys
from datetime import date
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.cli import findings
from ci.gates import exceptions, rules
from ci.gates.finding import Finding, Findings, Rule, finding
from ci.ground.errors import GateError
from ci.ground.repo import Repo
from tests import checkouts

SARIF = jsonschema.Draft4Validator(
    json.loads((checkouts.ROOT / "tests/fixtures/sarif-2.1.0-rtm.5.json").read_bytes())
)
# RFC 3986, 4.2: a path that begins with neither a slash nor what could be taken for a scheme.
RELATIVE = re.compile(r"(?!/)(?:[\w.~!$&'()*+,;=@/-]|%[0-9A-F]{2})+", re.ASCII)
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
        ({"rule": "test/renamed"}, {RULE.id, "exceptions/useless"}),
    ],
)
def test_an_exception_that_does_not_fit(tmp_path: Path, change: dict[str, str], expected: set[str]) -> None:
    """Expired or useless, it is a finding itself; another gate's exception is left to that gate."""
    left = exceptions.apply(excusing(tmp_path, **change), [RULE], Findings([one()], LOOKED), TODAY)

    assert expected == {found.rule for found in left}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"place": "gone.py"}, "the exception for gone.py excuses nothing: the file does not exist"),
        ({"place": "config"}, "the exception for config excuses nothing: the gate finds nothing like it there"),
        ({"rule": "test/old"}, "the exception for a/b.env excuses nothing: there is no rule test/old"),
    ],
)
def test_a_useless_exception_says_why(tmp_path: Path, change: dict[str, str], expected: str) -> None:
    """Its file was deleted, its rule is another one now, or what it excused was fixed."""
    repo = excusing(tmp_path, **change)

    left = exceptions.apply(repo, [RULE], Findings([], LOOKED), TODAY)

    assert [expected] == [problem.message for problem in left]


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


def test_exceptions_with_names_that_are_no_text_stop_the_gate(tmp_path: Path) -> None:
    """Such names cannot be sorted, and that is no bug of the gate's."""
    repo = excusing(tmp_path)
    with (repo.root / "config/exceptions.yaml").open("a") as file:
        file.write("1: a\nnull: b\n")

    with pytest.raises(GateError, match=r"exceptions\.yaml cannot be read"):
        exceptions.apply(repo, [RULE], Findings([one()], LOOKED), TODAY)


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
    shown = findings.text("test", [RULE], Findings([one()], LOOKED))

    assert (
        "a/b.env:3: test/rule KEY\n  is wrong\n  hint: mend it\ntest: 1 findings; looked at 2 files, with 1 rules"
        == shown
    )


def test_json_holds_everything() -> None:
    """A program gets the findings and the counts."""
    shown = json.loads(findings.as_json("test", [RULE], Findings([one()], LOOKED)))

    assert {"gate": "test", "rules": 1, "looked": LOOKED, "findings": [vars(one())]} == shown


def test_sarif_has_what_scanners_need() -> None:
    """Version, rules, and for each result its rule, text and place."""
    shown = json.loads(findings.sarif("test", [RULE], Findings([one()], LOOKED)))

    result = shown["runs"][0]["results"][0]
    assert "2.1.0" == shown["version"]
    assert ["test/rule"] == [rule["id"] for rule in shown["runs"][0]["tool"]["driver"]["rules"]]
    assert ("test/rule", "KEY is wrong; hint: mend it") == (result["ruleId"], result["message"]["text"])
    assert {"artifactLocation": {"uri": "a/b.env"}, "region": {"startLine": 3}} == result["locations"][0][
        "physicalLocation"
    ]


@given(
    st.lists(
        st.builds(
            finding,
            st.just(RULE),
            st.text(st.characters(), min_size=1).filter(lambda place: not place.startswith("/")),
            st.text(st.characters()),
            line=st.integers(1),
            key=st.text(st.characters()),
        )
    )
)
def test_sarif_fits_its_schema_whatever_is_found(found: list[Finding]) -> None:
    """Places, keys and messages of any characters, lone surrogates too, make a log that fits."""
    shown = json.loads(findings.sarif("test", [RULE], Findings(found, LOOKED)).encode())

    results = shown["runs"][0]["results"]
    prints = [one["partialFingerprints"]["primaryLocationLineHash"] for one in results]
    places = [one["locations"][0]["physicalLocation"] for one in results]
    assert [] == [error.message for error in SARIF.iter_errors(shown)]
    assert all(RELATIVE.fullmatch(one["artifactLocation"]["uri"]) for one in places)
    assert len(set(found)) == len(set(prints))


def test_the_sarif_schema_refuses_what_is_wrong() -> None:
    """It is the whole schema: a line 0 and a property that nobody knows are errors."""
    shown = json.loads(findings.sarif("test", [RULE], Findings([one()], LOOKED)))
    shown["runs"][0]["results"][0] |= {"colour": "red"}
    shown["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"]["startLine"] = 0

    assert 2 == len(list(SARIF.iter_errors(shown)))


def test_a_fingerprint_outlives_a_move() -> None:
    """The same finding some lines below is the same alert; another key is another one."""

    def prints(found: list[Finding]) -> list[str]:
        results = json.loads(findings.sarif("test", [RULE], Findings(found, LOOKED)))["runs"][0]["results"]
        return [each["partialFingerprints"]["primaryLocationLineHash"] for each in results]

    before = prints([finding(RULE, "a", "is wrong", line=line) for line in (1, 5)])

    assert before == prints([finding(RULE, "a", "is wrong", line=line) for line in (3, 8)])
    assert set(before).isdisjoint(prints([finding(RULE, "a", "is wrong", key="KEY")]))


@pytest.mark.parametrize("form", ["sarif", "github"])
def test_a_finding_of_the_past_is_shown_at_its_file(form: str) -> None:
    """A code scanner knows files, not commits: the commit is told in the message."""
    shown = findings.FORMATS[form]("test", [RULE], Findings([one("0123456789ab:a/b.env")], LOOKED))

    assert "in 0123456789ab: KEY is wrong" in shown
    assert ('"uri": "a/b.env"' if form == "sarif" else "file=a/b.env,line=3") in shown


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkout in which each gate finds something, also at a place of odd characters."""
    with checkouts.at_home(tmp_path_factory.mktemp("home")):
        root = checkouts.initialised(tmp_path_factory.mktemp("bad") / "repo").root
    checkouts.copy(checkouts.project("app", "worker"), root)
    for name in ("worker/odd name%41.py", "secrets/odd name%41.py"):
        (root / name).write_text(f'import os\nos.environ["SMTP_PASSWORD"] = "{secrets.token_urlsafe()}"\n')
    checkouts.git(root, "init", "-q", "-b", "main")
    checkouts.git(root, "add", "-A", ":!.tools")
    checkouts.git(root, "commit", "-qm", "a commit")
    return root


# For rotation all is fresh here, and loosened compares two commits.
@pytest.mark.parametrize("gate", sorted(rules.EVERY.keys() - {"exceptions", "rotation", "loosened"}))
def test_the_sarif_of_each_gate_fits_the_schema(bad: Path, gate: str) -> None:
    """What `--format sarif` prints is one log that the schema lets through, with relative places."""
    done = subprocess.run(
        [sys.executable, "-m", f"ci.gates.{gate}", "--format", "sarif", str(bad)],
        cwd=checkouts.ROOT,
        capture_output=True,
        check=False,
    )

    shown = json.loads(done.stdout)
    uris = [
        one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for one in shown["runs"][0]["results"]
    ]
    assert (1, []) == (done.returncode, [error.message for error in SARIF.iter_errors(shown)])
    assert [] == [uri for uri in uris if not RELATIVE.fullmatch(uri)]
    assert any(uri.endswith("odd%20name%2541.py") for uri in uris)


def test_an_annotation_cannot_be_broken_out_of() -> None:
    """Line ends, colons and commas in a file's name do not start another command."""
    odd = Finding(RULE.id, "a,b:c\n::error::x%", 3, "KEY", "is\r\n::error::wrong", "mend it")
    shown = findings.github("test", [RULE], Findings([odd], LOOKED))

    assert "::error file=a%2Cb%3Ac%0A%3A%3Aerror%3A%3Ax%25,line=3,title=test/rule::KEY is%0D%0A::error" in shown
    assert 2 == len(shown.splitlines())


@pytest.mark.parametrize("form", findings.FORMATS)
def test_a_line_end_in_a_name_makes_no_line(form: str) -> None:
    """No file, key or message begins a line of the output, and what is no UTF-8 can be printed."""
    odd = finding(RULE, "a\n::x::\udcff", "is\n::y:: wrong", key="K\r\n::z::")
    shown = findings.FORMATS[form]("test", [RULE], Findings([odd], LOOKED)).encode().decode()

    assert [] == [
        line for line in shown.splitlines() if line.lstrip().startswith("::") and "::error file" not in line
    ]


@pytest.mark.parametrize(
    ("look", "code", "expected"),
    [
        ("Findings([], {'files': 1})", 0, "probe: 0 findings; looked at 1 files"),
        ("Findings([finding(RULE, 'a', 'is wrong')], {'files': 1})", 1, "a:1: probe/rule"),
        (
            "Findings([finding(replace(RULE, level=WARNING), 'a', 'is due')], {'files': 1})",
            0,
            "a:1: warning: probe/rule",
        ),
        ("Findings([], {'files': 0})", 2, "there was nothing to look at"),
        ("1 / 0", 2, "a bug in lockstep, ZeroDivisionError at "),
        ("repo.schema", 2, "the schema is wrong"),
    ],
)
def test_the_exit_code_is_the_result(tmp_path: Path, look: str, code: int, expected: str) -> None:
    """0 clean or warnings alone, 1 findings, 2 could not run, and never a traceback."""
    (tmp_path / "probe.py").write_text(
        "from dataclasses import replace\nfrom ci.cli import gate\n"
        "from ci.gates.finding import WARNING, Findings, Rule, finding\n"
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
