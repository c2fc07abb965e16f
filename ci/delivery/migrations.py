"""What the migrations of a commit say: the revision that its code is written for, and whose code lives with it.

A migration that drops what older code needs says so: `oldest = "0007"` is the oldest revision whose code can live
with the database from then on. Without it a migration only expands, and older code keeps working.
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ci.delivery.release import Release, current
from ci.ground import errors, git
from ci.ground.errors import GateError
from ci.ground.repo import Repo

FOLDER = "model/migrations/versions"


@dataclass(frozen=True)
class Migration:
    """One migration, by the names that the top of its file sets."""

    revision: str
    before: str | None
    oldest: str | None


def of(repo: Repo, commit: str) -> list[Migration]:
    """Return a commit's migrations, the newest first; none when git does not know it."""
    try:
        files = git.committed(repo.root, commit, FOLDER)
        sources = dict(git.contents(repo.root, [file.blob for file in files]))
    except GateError:
        return []
    named = [file for file in files if file.path.endswith(".py") and not file.path.endswith("/__init__.py")]
    return order([parse(sources[file.blob].decode(), file.path) for file in named])


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

    Alembic writes `revision = "…"` or, since 1.13, `revision: str = "…"`.
    """
    values: dict[str, Any] = {}
    for node in ast.parse(source).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        for target in targets:
            if isinstance(target, ast.Name) and isinstance(value, ast.Constant):
                values[target.id] = value.value
    if not isinstance(values.get("revision"), str) or "down_revision" not in values:
        raise errors.RefusedError(
            f"{path} does not say its revision and the one before it as plain text",
            'write them as Alembic does: revision = "…" and down_revision = "…" or None',
        )
    return Migration(values["revision"], values["down_revision"], values.get("oldest"))


def order(migrations: list[Migration]) -> list[Migration]:
    """Return the migrations, the newest first, by the revision that each names as the one before it."""
    by_revision = {migration.revision: migration for migration in migrations}
    name: str | None = min(by_revision.keys() - {migration.before for migration in migrations}, default=None)
    chain = []
    while name is not None and name in by_revision:
        chain.append(by_revision.pop(name))
        name = chain[-1].before
    return chain


def lives_with(chain: Sequence[Migration]) -> list[str]:
    """Return the revisions whose code can live with the database after all of them, the newest first."""
    oldest = next((migration.oldest for migration in chain if migration.oldest), None)
    names = [migration.revision for migration in chain]
    return names[: names.index(oldest) + 1] if oldest in names else names
