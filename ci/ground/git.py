"""What git knows about a checkout."""

from pathlib import Path

from ci.ground import command

SHORT = 12  # characters of a SHA that name a commit in this project


def sha(root: Path) -> str:
    """Return the short SHA of HEAD, with `-dirty` when the tree differs; `unknown` outside of git."""
    head = command.attempt(["git", "-C", root, "rev-parse", f"--short={SHORT}", "HEAD"])
    if head.code:
        return "unknown"
    status = command.attempt(["git", "-C", root, "status", "--porcelain"])
    return head.stdout.decode().strip() + ("-dirty" if status.stdout else "")


def user(root: Path) -> str:
    """Return who git says is working here, or an empty string."""
    return command.attempt(["git", "-C", root, "config", "user.name"]).stdout.decode().strip()
