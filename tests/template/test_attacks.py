"""docs/attacks.md names tests that exist, against each part that can be attacked."""

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/attacks.md"
PARTS = ("api", "worker", "gates", "deploy", "rotation", "image")
TABLE = "| what was tried | against | what it expects | test | standard |\n|---|---|---|---|---|\n"
NUMBERED = (
    r"ASVS \d+\.\d+\.\d+(, \d+\.\d+\.\d+)*",
    r"API\d+:2023",
    r"CWE-\d+",
    r"CICD-SEC-\d+",
    r"CIS Docker \d+\.\d+(, \d+\.\d+)*",
    r"NIST SP 800-190 \d+\.\d+\.\d+",
    r"NIST SP 800-57 part 1, \d+\.\d+(\.\d+)?",
    r"RFC \d+ section [\d.]+",
)
STANDARDS = re.compile(rf"({'|'.join(NUMBERED)})(, ({'|'.join(NUMBERED)}))*")


class Row(NamedTuple):
    """One attack, as the page has it."""

    tried: str
    against: str
    expects: str
    test: str
    standard: str


def rows(text: str) -> list[Row]:
    """Return the table's rows; a ValueError when there is no table, or none in it."""
    _, found, table = text.partition(TABLE)
    read = [Row(*(cell.strip() for cell in line.strip("|").split("|"))) for line in table.splitlines()]
    if not found or not read:
        raise ValueError("no attack is listed")
    return read


@cache
def named(path: Path) -> frozenset[str]:
    """Return the names of a file's tests; none when there is no such file."""
    if not path.is_file():
        return frozenset()
    functions = (node for node in ast.parse(path.read_bytes()).body if isinstance(node, ast.FunctionDef))
    return frozenset(function.name for function in functions if function.name.startswith("test_"))


def missing(row: Row) -> bool:
    """Say whether the test of a row is not there."""
    path, _, name = row.test.strip("`").partition("::")
    return name not in named(ROOT / path)


@pytest.fixture
def listed() -> list[Row]:
    """Return what the page lists."""
    return rows(PAGE.read_text(encoding="utf-8"))


def test_each_test_is_there(listed: list[Row]) -> None:
    """A row without its test would be a claim."""
    assert [] == [row.test for row in listed if missing(row)]


def test_no_row_is_there_twice(listed: list[Row]) -> None:
    """An attack is one row, and a test stands for one attack."""
    counted = Counter([row.tried for row in listed] + [row.test for row in listed])

    assert [] == [text for text, count in counted.items() if count > 1]


def test_each_part_is_attacked(listed: list[Row]) -> None:
    """Nothing that can be attacked is left out."""
    assert [] == [part for part in PARTS if part not in {row.against for row in listed}]


def test_each_row_is_whole(listed: list[Row]) -> None:
    """All cells are filled, and the standard is named by its number."""
    assert [] == [row for row in listed if not all(row)]
    assert [] == [row.standard for row in listed if not STANDARDS.fullmatch(row.standard)]


def test_what_is_wrong_with_a_page_is_seen() -> None:
    """A page without a table or without a row, and a test that is not there, do not pass."""
    for text in ("", "# Attacks\n", TABLE):
        with pytest.raises(ValueError, match="no attack"):
            rows(text)
    path = Path(__file__).relative_to(ROOT)
    [there, gone, nowhere] = rows(
        TABLE
        + "".join(
            f"| a | api | b | `{test}` | CWE-1 |\n"
            for test in (f"{path}::test_each_test_is_there", f"{path}::test_gone", "tests/no.py::test_each")
        )
    )
    assert [False, True, True] == [missing(row) for row in (there, gone, nowhere)]
