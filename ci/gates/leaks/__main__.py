"""`python -m ci.gates.leaks [--base REV | --staged | --folder | --image FILE] [PATH]`."""

from pathlib import Path

from ci.cli import gate
from ci.gates import leaks
from ci.gates.finding import Findings
from ci.ground.repo import Repo


def main() -> None:
    """Read the arguments and run the gate."""
    parser = gate.parser("leaks")
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--base", metavar="REV", help="only the commits that REV does not have")
    modes.add_argument("--staged", action="store_true", help="only what the next commit would take")
    modes.add_argument("--folder", action="store_true", help="the working tree instead of the history")
    modes.add_argument(
        "--image", metavar="FILE", type=Path, help="an image: a docker save tar, or a folder of layers"
    )
    given = parser.parse_args()
    path = Path(given.path).resolve()
    given.path = next((str(each) for each in (path, *path.parents) if (each / ".git").exists()), given.path)

    def look(repo: Repo) -> Findings:
        if given.base is not None:
            return leaks.check_commits(repo, given.base)
        if given.staged:
            return leaks.check_staged(repo)
        if given.folder:
            return leaks.check_folder(repo)
        return leaks.check_image(given.image, repo) if given.image else leaks.check(repo)

    whole = not (given.base is not None or given.staged or given.folder or given.image)
    gate.run("leaks", leaks.RULES, look, given, whole=whole)


main()
