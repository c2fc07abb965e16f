"""Texts that were made to keep the gate busy: their time grows as their length does (CWE-1333)."""

import subprocess
import sys

import pytest

from tests import checkouts

SECONDS = 30  # of CPU; each of these takes a fraction of one, and took hours or for ever by a careless pattern
READ = f"""
import resource, sys
from ci.gates.leaks.feed import Feed, Source
from ci.gates.leaks.look import Look
from tests import checkouts

class Engine:
    def scan(self, texts):
        return []

resource.setrlimit(resource.RLIMIT_CPU, ({SECONDS}, {SECONDS}))
feed, look = Feed(), Look(Engine(), checkouts.schema())
feed.text(Source(sys.argv[1]), sys.stdin.buffer.read())
look.at(feed)
"""


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("notes.txt", "password = " + "b" * 60),
        ("notes.txt", "a" * 19_000 + " token"),
        ("notes.txt", "password: " + " " * 15_000 + "x"),
        ("notes.txt", "password: " + "a " * 8_000 + "x"),
        ("notes.md", "| a | password |\n" + "-" * 60 + "x\n"),
        ("notes.md", "| password | x |\n|---|---|\n" * 3_000),
        ("values.yaml", "password: " + "{{" * 200_000),
        ("run.sh", "redis-cli " * 2_000),
        ("app.py", "password " * 2_000 + "'"),
        ("app.js", "password='x';" * 20_000),
    ],
)
def test_a_text_that_was_made_to_be_slow(path: str, text: str) -> None:
    """It is read to its end."""
    done = subprocess.run(
        [sys.executable, "-c", READ, path],
        cwd=checkouts.ROOT,
        input=text.encode(),
        capture_output=True,
        check=False,
    )

    assert 0 == done.returncode, done.stderr
