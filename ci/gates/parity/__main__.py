"""`python -m ci.gates.parity [--format FORMAT] [PATH]`."""

from ci.cli import gate
from ci.gates import parity


def main() -> None:
    """Read the arguments, look, and exit: 0 clean, 1 findings, 2 could not run."""
    gate.run("parity", parity.RULES, parity.check, gate.parser("parity").parse_args())


if __name__ == "__main__":
    main()
