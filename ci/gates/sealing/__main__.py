"""`python -m ci.gates.sealing [--format FORMAT] [--base REV | --history BASE..HEAD] [PATH]`."""

from ci.cli import gate
from ci.gates import sealing
from ci.gates.finding import Findings
from ci.ground.repo import Repo


def main() -> None:
    """Read the arguments, look, and exit: 0 clean, 1 findings, 2 could not run."""
    parser = gate.parser("sealing")
    span = parser.add_mutually_exclusive_group()
    span.add_argument("--base", metavar="REV", help="look at every commit since this one, too")
    span.add_argument(
        "--history", metavar="[BASE..]HEAD", help="the same for another head; without BASE, all of it"
    )
    arguments = parser.parse_args()

    def check(repo: Repo) -> Findings:
        findings = sealing.check(repo)
        if arguments.base is None and arguments.history is None:
            return findings
        base, _, head = (arguments.history or f"{arguments.base}..HEAD").rpartition("..")
        past = sealing.check_history(repo, base if base or arguments.base is not None else None, head)
        return findings | past

    gate.run("sealing", sealing.RULES, check, arguments)


if __name__ == "__main__":
    main()
