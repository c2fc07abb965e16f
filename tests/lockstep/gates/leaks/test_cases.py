import json
from dataclasses import dataclass

import pytest

from ci.ground import command
from ci.ground.repo import Repo
from tests import checkouts
from tests.lockstep.gates.leaks.cases import BAD, GOOD, fill, made_up
from tests.lockstep.gates.leaks.repos import checkout, output

CASES = [(rule, name) for rule, files in BAD.items() for name in files]


@dataclass(frozen=True)
class Crowd:
    """A repository with every bad and every good file, its values, and what the gate found."""

    repo: Repo
    values: list[str]
    found: dict[str, set[str]]
    printed: str


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Crowd:
    repo, values = checkout(tmp_path_factory.mktemp("crowd") / "repo"), []
    for rule, files in BAD.items():
        for name, template in files.items():
            made = made_up()
            values += [each for key, each in made.items() if f"{{{key}}}" in template]
            path = repo.root / "bad" / rule / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(template.format(**made), newline="")
    for name, template in GOOD.items():
        path = repo.root / "good" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(fill(template))
    checkouts.git(repo.root, "add", "-A")
    checkouts.git(repo.root, "commit", "-qm", "a crowd")
    code, printed = output(repo, "--format", "json")
    assert 1 == code, printed
    found: dict[str, set[str]] = {}
    for one in json.loads(printed)["findings"]:
        found.setdefault(one["place"].partition(":")[2], set()).add(one["rule"])
    return Crowd(repo, values, found, printed)


@pytest.mark.parametrize(("rule", "name"), CASES)
def test_each_rule_sees_what_is_bad(crowd: Crowd, rule: str, name: str) -> None:
    """Every bad file trips the rule that is meant for it, and no other."""
    expected = {f"leaks/{rule}"}

    assert expected == crowd.found.get(f"bad/{rule}/{name}", set())


@pytest.mark.parametrize("name", GOOD)
def test_what_is_no_secret_is_silent(crowd: Crowd, name: str) -> None:
    """Placeholders, references, ciphertext, lock files and generated values trip nothing."""
    assert set() == crowd.found.get(f"good/{name}", set())


def test_the_output_holds_no_secret(crowd: Crowd) -> None:
    """No value is in the findings, whatever the format."""
    texts = [crowd.printed] + [
        output(crowd.repo, "--folder", "--format", each)[1] for each in ("text", "sarif", "github")
    ]

    assert [] == [value for value in crowd.values for text in texts if value in text]


def test_a_finding_says_where_and_what_to_do(crowd: Crowd) -> None:
    """The place is the commit, the path and the line; the hint begins with the provider."""
    head = command.run(["git", "-C", crowd.repo.root, "rev-parse", "--short=12", "HEAD"]).strip()
    one = next(one for one in json.loads(crowd.printed)["findings"] if "crlf" in one["place"])

    assert (f"{head}:bad/schema-key/crlf.env", 2, "SMTP_PASSWORD") == (one["place"], one["line"], one["key"])
    assert "replace it at its provider, then inv set" in one["hint"]


def test_both_lines_of_a_file_are_found(crowd: Crowd) -> None:
    """A match does not eat the line break that the next one begins with."""
    found = [one for one in json.loads(crowd.printed)["findings"] if one["rule"] == "leaks/pgpass"]

    assert [1, 2] == [one["line"] for one in found]
