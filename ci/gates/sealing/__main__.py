"""`python -m ci.gates.sealing [--format FORMAT] [--base REV | --history BASE..HEAD] [--head REV] [PATH]`."""

from ci.cli import gate
from ci.gates import sealing
from ci.gates.finding import Findings
from ci.ground.repo import Repo


def main() -> None:
    """Read the arguments, look, and exit: 0 clean, 1 findings, 2 could not run."""
    parser = gate.parser("sealing")
    parser.add_argument(
        "--history", metavar="[BASE..]HEAD", help="look at these commits by the rules of now; without BASE, all"
    )
    arguments = parser.parse_args()
    if arguments.history is not None and arguments.base is not None:
        parser.error("give --base or --history, not both")

    def check(repo: Repo) -> Findings:
        findings = sealing.check(repo)
        if arguments.base is None and arguments.history is None:
            return findings
        head = repo.commit or "HEAD"
        base, _, head = (arguments.history or f"{arguments.base}..{head}").rpartition("..")
        past = sealing.check_history(repo, base if base or arguments.base is not None else None, head)
        return findings | past

    gate.run("sealing", sealing.RULES, check, arguments)


if __name__ == "__main__":
    main()
