"""Checkouts that one change made bad, each with the rule that finds it, and those that a change left good."""

from tests.lockstep.gates.parity.cases import matrix, places, product, settings, sources, values

BAD = [*matrix.BAD, *places.BAD, *product.BAD, *settings.BAD, *sources.BAD, *values.BAD]
GOOD = [*matrix.GOOD, *places.GOOD, *product.GOOD, *settings.GOOD, *sources.GOOD, *values.GOOD]
