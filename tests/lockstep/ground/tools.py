"""A tool of two programs, and what installing it leaves in a checkout."""

from collections.abc import Mapping, Sequence

from ci import cli
from ci.ground import toolchain
from ci.ground.repo import Repo
from ci.ground.toolchain import Tool

Age = tuple[Tool, dict[str, bytes]]


def ensure(repo: Repo, tools: Sequence[Tool], environ: Mapping[str, str]) -> list[str]:
    """Install, and return the names of the tools that were installed."""
    return cli.follow(toolchain.ensure(repo, tools, environ))


def left(repo: Repo) -> list[str]:
    """What an attempt left behind, but for its lock."""
    found = [str(path.relative_to(repo.tools.parent)) for path in repo.tools.parent.rglob("*") if path.is_file()]
    return sorted(set(found) - {"lock"})
