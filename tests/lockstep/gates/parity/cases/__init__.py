"""Checkouts that one change made bad, each with the rule that finds it, and those that a change left good."""

from tests.lockstep.gates.parity.cases import matrix, places, sources, values

BAD = [*matrix.BAD, *places.BAD, *sources.BAD, *values.BAD]
GOOD = [*matrix.GOOD, *places.GOOD, *sources.GOOD, *values.GOOD]
