"""`python -m ci.gates.parity [--format FORMAT] [--base REV] [--head REV] [PATH]`."""

from ci.cli import gate
from ci.delivery import engines
from ci.gates import parity
from ci.gates.finding import Findings
from ci.ground.repo import Repo


def check(repo: Repo) -> Findings:
    """Look at the checkout; ConfigurationError when an engine does not know what environments.yaml says of it."""
    engines.check(repo)
    return parity.check(repo)


def main() -> None:
    """Read the arguments, look, and exit: 0 clean, 1 findings, 2 could not look."""
    gate.run("parity", parity.RULES, check, gate.parser("parity").parse_args())


if __name__ == "__main__":
    main()
