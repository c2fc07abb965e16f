import resource
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ci.ground import documents
from tests.lockstep.runtime.test_loader import ROOT

LAUGHS = "a: &a [ha, ha, ha, ha, ha, ha, ha, ha, ha]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)
MERGED = "a: &a {k: v}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{before}'] * 9)}]}}\n"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)
BOMBS = {
    "billion laughs": LAUGHS,
    "merged laughs": MERGED,
    "itself": "a: &a [*a]\n",
    "itself as a key": "&a [*a]: 1\n",
    "open brackets": "[" * 200_000,
    "brackets": "[" * 200_000 + "]" * 200_000,
    "open braces": "{a: " * 200_000,
    "dashes": "- " * 50_000,
    "a day of no month": "a: 2026-02-31\n",
    "too many digits": f"a: {'9' * 10_000}\n",
    "a program": "!!python/object/apply:os.system ['true']\n",
    "two documents": "a: 1\n---\nb: 2\n",
    "a control character": "a: \x01\n",
    "a name twice": "a: {secret: true}\nb: 1\na: {secret: false}\n",
}
READ = {
    "config/schema.yaml": "schema",
    "config/environments.yaml": "environments",
    "config/exceptions.yaml": "gate",
    ".sops.yaml": "recipients",
    "config/exposed.yaml": "exposed",
}


@pytest.mark.parametrize("name", BOMBS)
def test_more_than_values_is_refused(name: str) -> None:
    """Whatever a file says that is no plain value is one and the same error."""
    with pytest.raises(yaml.YAMLError):
        documents.load(BOMBS[name])


@pytest.mark.parametrize(
    "text",
    [BOMBS["a name twice"], "a: [{b: 1, c: 2, b: 1}]\n", "'a': 1\n\"\\x61\": 2\n", "1: a\n0x1: b\n"],
    ids=["beside", "inside", "written in two ways", "a number"],
)
def test_a_name_that_stands_twice_has_no_value(text: str) -> None:
    """Neither of the two is taken, however each is written."""
    with pytest.raises(yaml.YAMLError, match=r"^a name stands twice$"):
        documents.load(text, aliases=True)


@pytest.mark.parametrize("code", ["utf-16", "utf-16-le", "utf-32", "latin-1"])
def test_another_encoding_is_refused(code: str) -> None:
    """git, sops and a person's editor read UTF-8, so that nothing else is looked at in their place."""
    with pytest.raises(yaml.YAMLError, match=r"^no value$"):
        documents.load("a: ü\n".encode(code))


def test_twenty_collections_may_be_in_each_other() -> None:
    """One more is refused; beside each other there may be any number."""
    assert [[]] * 30 == documents.load(f"[{'[],' * 30}]")
    assert documents.load("[" * 20 + "]" * 20)
    with pytest.raises(yaml.YAMLError, match=r"^more than values$"):
        documents.load("[" * 21 + "]" * 21)


def test_a_name_that_is_not_a_text_is_found() -> None:
    """By its path, wherever it is."""
    document = {"a": [{"b": 1}, {1: 2, "c": [{None: 3}]}], 4: {5: 6}, "d": "e"}

    assert ["a.1", "a.c.None", "4"] == list(documents.unnamed(document))


def test_values_are_read() -> None:
    """Texts, numbers, days, lists and mappings are what YAML says they are."""
    text = "a: &unused [1, 'two', {b: true}]\nday: 2026-01-02\n"

    assert yaml.safe_load(text) == documents.load(text)


def test_a_merge_is_a_key() -> None:
    """It gives no name a second value."""
    assert {"<<": {"a": 1}, "a": 2} == documents.load("<<: {a: 1}\na: 2\n")


def test_aliases_are_read_where_they_are_wanted() -> None:
    """A workflow of GitHub may have them; depth is bounded all the same."""
    assert {"a": [1], "b": [1]} == documents.load("a: &a [1]\nb: *a\n", aliases=True)
    with pytest.raises(yaml.YAMLError):
        documents.load("[" * 200_000, aliases=True)


PROGRAM = """
import sys, datetime, pathlib
from ci.gates import exceptions
from ci.gates.finding import Findings
from ci import cli
from ci.ground.repo import Repo
from ci.sealing import exposed, recipients

repo = Repo(pathlib.Path(sys.argv[1]))
reads = {
    "schema": lambda: repo.schema,
    "environments": lambda: repo.environments,
    "gate": lambda: exceptions.apply(repo, [], Findings([], {"files": 1}), datetime.date.today()),
    "recipients": lambda: recipients.read(repo),
    "exposed": lambda: exposed.read(repo),
}
with cli.reported():
    reads[sys.argv[2]]()
"""


def _bounded() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))


@pytest.mark.parametrize(
    "name", ["billion laughs", "merged laughs", "itself", "brackets", "too many digits", "a name twice"]
)
@pytest.mark.parametrize("place", READ)
def test_each_file_of_a_checkout_is_read_so(tmp_path: Path, place: str, name: str) -> None:
    """A bomb in any of them is a fault with a message and an exit code, within a gigabyte and ten seconds."""
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    path.write_text(BOMBS[name])

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path, READ[place]],
        cwd=ROOT,
        preexec_fn=_bounded,
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )

    assert done.returncode in range(1, 126), done.stderr
    assert "error: " in done.stderr
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr
