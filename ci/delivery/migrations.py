"""What the migrations of a commit say: the revision that its code is written for, and whose code lives with it.

A migration that drops what older code needs says so: `oldest = "0007"` is the oldest revision whose code can live
with the database from then on. Without it a migration only expands, and older code keeps working.
"""

import ast
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from ci.delivery.release import Release, current
from ci.ground import errors, git
from ci.ground.errors import GateError
from ci.ground.repo import Repo
from ci.ground.services import MIGRATE


@dataclass(frozen=True)
class Migration:
    """One migration, by the names that the top of its file sets."""

    revision: str
    before: tuple[str, ...]
    oldest: str | None


def of(repo: Repo, release: Release) -> list[Migration]:
    """Return the migrations of a release's commit, or of the working tree that it runs, the newest first.

    There are none when git does not know the commit, or when they are another tool's than Alembic.
    """
    job = release.jobs.get(MIGRATE)
    if job is None or not job.declared.alembic:
        return []
    if release.sha.endswith(git.DIRTY):
        paths = (repo.root / job.declared.alembic).rglob("*.py")
        sources = {str(path.relative_to(repo.root)): path.read_text(encoding="utf-8") for path in paths}
    else:
        sources = _committed(repo, release.sha, job.declared.alembic)
    return order([parse(text, path) for path, text in sources.items() if not path.endswith("/__init__.py")])


def _committed(repo: Repo, commit: str, folder: str) -> dict[str, str]:
    try:
        files = [file for file in git.committed(repo.root, commit, folder) if file.path.endswith(".py")]
        blobs = dict(git.contents(repo.root, [file.blob for file in files]))
    except GateError:
        return {}
    return {file.path: blobs[file.blob].decode() for file in files}


def forward(release: Release, before: Sequence[Release], chain: Sequence[Migration]) -> Release:
    """Return the release with the database as it will leave it; RefusedError when code and database do not fit.

    During the rollout the old code runs with the new database, so it must be able to live with that. A reason
    (`why`) lets the release go ahead all the same.
    """
    database = before[-1].lives_with if before else ()
    names = [migration.revision for migration in chain]
    if chain:
        release = replace(release, revision=names[0], lives_with=lives_with(chain))
    if release.why:
        return release
    if database and database[0] not in names:
        return behind(release, database)
    runs = current(before)
    if runs and runs.revision and runs.revision not in release.lives_with:
        raise errors.RefusedError(
            f"release {runs.number} runs code of revision {runs.revision}, "
            f"and {release.sha} drops what that needs",
            f"deploy a commit that is at {release.lives_with[-1]} first, docs/delivery.md says why",
        )
    return release


def behind(release: Release, database: Sequence[str]) -> Release:
    """Return a release for a database that stays as it is; RefusedError when its code cannot live with it."""
    if database and release.revision not in database:
        raise errors.RefusedError(
            f"{release.sha} was written for revision {release.revision or 'unknown'} of the database, "
            f"which is at {database[0]} and has dropped what that needs",
            f"take one of {', '.join(database)}, or fix forward",
        )
    return replace(release, lives_with=database)


def failed(release: Release, database: Sequence[str]) -> Sequence[str]:
    """Return what code can live with a database whose migrations failed: some of them may have run."""
    return [revision for revision in database if revision in release.lives_with]


def parse(source: str, path: str = "a migration") -> Migration:
    """Read one migration's file without running it; RefusedError when it does not say its revision in plain words.

    Alembic writes `revision = "…"` or, since 1.13, `revision: str = "…"`; a merge follows several.
    """
    values: dict[str, Any] = {}
    for node in ast.parse(source).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name) and isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
                with suppress(ValueError):  # not a literal
                    values[target.id] = ast.literal_eval(node.value)
    before = values.get("down_revision", 0)
    follows = () if before is None else (before,) if isinstance(before, str) else before
    if not isinstance(values.get("revision"), str) or not isinstance(follows, tuple | list):
        raise errors.RefusedError(
            f"{path} does not say its revision and the one before it as plain text",
            'write them as Alembic does: revision = "…" and down_revision = "…", None, or several of a merge',
        )
    return Migration(values["revision"], tuple(map(str, follows)), values.get("oldest"))


def order(migrations: list[Migration]) -> list[Migration]:
    """Return the migrations, the newest first: each before those that it follows."""
    left = {migration.revision: migration for migration in migrations}
    chain: list[Migration] = []
    while left:
        followed = {name for migration in left.values() for name in migration.before}
        newest = min(left.keys() - followed, default=None)
        if newest is None:  # a circle, which Alembic refuses
            break
        chain.append(left.pop(newest))
    return chain


def lives_with(chain: Sequence[Migration]) -> list[str]:
    """Return the revisions whose code can live with the database after all of them, the newest first."""
    oldest = next((migration.oldest for migration in chain if migration.oldest), None)
    names = [migration.revision for migration in chain]
    return names[: names.index(oldest) + 1] if oldest in names else names
