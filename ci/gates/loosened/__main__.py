"""`python -m ci.gates.loosened --base REV [--head REV] [--format FORMAT] [PATH]`."""

from ci.cli import gate
from ci.gates import loosened


def main() -> None:
    """Read the arguments, compare, and exit: 0 nothing is looser, 1 findings, 2 could not look."""
    gate.run("loosened", loosened.RULES, loosened.check, gate.parser("loosened", needs_base=True).parse_args())


if __name__ == "__main__":
    main()
