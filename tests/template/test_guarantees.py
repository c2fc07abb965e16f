"""The README promises what docs/guarantees.md proves, and nothing else."""

import re

from bench import guarantees
from bench.guarantees import NOT_PROVED, NOT_RUN, PROMISES, ROOT


def test_the_readme_says_each_promise() -> None:
    """Its list is the page's, word for word."""
    told = (ROOT / "README.md").read_text(encoding="utf-8")
    _, _, section = told.partition("## What it promises\n")

    assert [one.words for one in PROMISES] == re.findall(r"(?m)^\* (.*)$", section.partition("\n## ")[0])


def test_the_page_is_what_was_run() -> None:
    """It is made of the promises of today, and each of them was proved when it was last run."""
    known = guarantees.kept()

    assert guarantees.page(known) == guarantees.PLACE.read_text(encoding="utf-8")
    assert {one.words for one in PROMISES} == known.keys()
    assert [] == [words for words, (figures, _) in known.items() if figures in (NOT_PROVED, NOT_RUN)]


def test_each_proof_is_there() -> None:
    """The file that a promise names exists."""
    assert [] == [one.proof for one in PROMISES if not (ROOT / one.proof).exists()]
