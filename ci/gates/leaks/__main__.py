"""`python -m ci.gates.leaks [--base REV | --staged | --folder | --image FILE] [--head REV] [PATH]`."""

from pathlib import Path

from ci.cli import gate
from ci.gates import leaks
from ci.gates.finding import Findings
from ci.ground.repo import Repo


def main() -> None:
    """Read the arguments and run the gate."""
    parser = gate.parser("leaks")
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--staged", action="store_true", help="only what the next commit would take")
    modes.add_argument("--folder", action="store_true", help="the working tree instead of the history")
    modes.add_argument(
        "--image", metavar="FILE", type=Path, help="an image: a docker save tar, or a folder of layers"
    )
    arguments = parser.parse_args()
    other = arguments.staged or arguments.folder or arguments.image
    commits = arguments.base is not None or arguments.head is not None
    if other and commits:
        parser.error("--base and --head are about commits, not about what is staged, in the folder or in an image")
    path = Path(arguments.path).resolve()
    checkouts = (str(folder) for folder in (path, *path.parents) if (folder / ".git").exists())
    arguments.path = next(checkouts, arguments.path)

    def check(repo: Repo) -> Findings:
        if commits:
            return leaks.check_commits(repo, arguments.base)
        if arguments.staged:
            return leaks.check_staged(repo)
        if arguments.folder:
            return leaks.check_folder(repo)
        return leaks.check_image(arguments.image, repo) if arguments.image else leaks.check(repo)

    whole = not (commits or other)
    gate.run("leaks", leaks.RULES, check, arguments, whole=whole)


main()
