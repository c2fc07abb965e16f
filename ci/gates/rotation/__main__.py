"""`python -m ci.gates.rotation [--format FORMAT] [--base REV] [--head REV] [PATH]`."""

from ci.cli import gate
from ci.gates import rotation


def main() -> None:
    """Read the arguments, look, and exit: 0 clean or warnings alone, 1 findings, 2 could not run."""
    gate.run("rotation", rotation.RULES, rotation.check, gate.parser("rotation").parse_args())


if __name__ == "__main__":
    main()
