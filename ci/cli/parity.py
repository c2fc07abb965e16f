"""The matrix of keys and environments on a terminal."""

from ci.cli import console, findings
from ci.gates import parity
from ci.gates.parity.overview import Overview


def show(overview: Overview) -> int:
    """Draw the matrix, then what is wrong; return the exit code: 0 when nothing is, else 1."""
    console.table(overview.headings, overview.rows)
    console.say()
    console.say(findings.text("parity", parity.RULES, overview.findings))
    return 1 if overview.findings else 0
