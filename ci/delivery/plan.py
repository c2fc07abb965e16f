"""What a deploy would change, shown before it does. Nothing here opens a sealed value."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ci.delivery.engines import Engine
from ci.delivery.release import Job, Release, Service
from ci.ground.git import Git
from ci.ground.repo import Repo
from ci.ground.schema import Schema
from ci.ground.services import MIGRATE

SEALED_LINE = re.compile(r"(?m)^([A-Z][A-Z0-9_]*)=(.*)$")
SHOWN_COMMITS = 10


@dataclass(frozen=True)
class Plan:
    """The release that runs, the one that would, and the differences between them, one a line."""

    before: Release | None
    after: Release
    changes: Sequence[str]
    drift: Sequence[str]
    asks: bool

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not self.changes and not self.drift

    def lines(self) -> Iterator[str]:
        """Yield the lines that a person sees."""
        if self.before and self.idle:
            yield f"{self.after.environment}: already up to date with release {self.before.number}"
            return
        running = f"release {self.before.number}" if self.before else "nothing"
        yield f"{self.after.environment}: {running} → release {self.after.number}"
        yield from (f"  {line}" for line in self.changes)
        yield from (f"  drift: {line}, is corrected" for line in self.drift)
        if self.asks:
            yield "  asks for the name of the environment, for it is protected"


def make(repo: Repo, engine: Engine, before: Release | None, after: Release, drift: Sequence[str]) -> Plan:
    """Return the plan of a deploy that makes `after` of `before`."""
    lines, old = changes(repo, engine, before, after), before.revision if before else ""
    if after.revision != old:
        lines.append(f"migration {old or 'none'} → {after.revision}")
    migrate = after.jobs.get(MIGRATE)
    if migrate and not migrate.declared.alembic and before and before.image != after.image:
        lines.append(
            "migration by a tool that is not Alembic: whether the running code can live with it is unknown"
        )
    return Plan(before, after, lines, drift, repo.environments.by_name[after.environment].protected)


def changes(repo: Repo, engine: Engine, before: Release | None, after: Release) -> list[str]:
    """Compare two releases but for their migrations; secrets by name, from their ciphertext in git."""
    return [
        *_image(repo, before, after),
        *_plain(before.plain if before else {}, after.plain),
        *_sealed(repo, before, after),
        *_services(before.services if before else {}, after.services),
        *_jobs(before.jobs if before else {}, after.jobs),
        *engine.changes(before, after),
    ]


def schema(repo: Repo, name: str, engine: Engine, sha: str) -> Schema:
    """Return the part of a commit's schema that an environment has, or of the working tree's where that runs."""
    return (repo.schema_at(sha) if engine.versioned else repo.schema).within(name)


def sealed_lines(repo: Repo, name: str, commit: str | None = None) -> dict[str, str]:
    """Return the ciphertext of each sealed key, of a commit or of the working tree; empty when there is none."""
    path = repo.sealed(name)
    if commit is None:
        data = path.read_bytes() if path.exists() else b""
    else:
        data = Git(repo.root).attempt("show", f"{commit}:secrets/{path.name}").stdout
    return dict(SEALED_LINE.findall(data.decode(errors="replace")))


def _image(repo: Repo, before: Release | None, after: Release) -> Iterator[str]:
    if before is None:
        yield f"image     {after.sha}"
    elif before.image != after.image:
        commits = _commits(repo, before.sha, after.sha)
        yield f"image     {before.sha} → {after.sha}, {commits[0]}"
        yield from (f"          {line}" for line in commits[1:])


def _commits(repo: Repo, before: str, after: str) -> list[str]:
    """Count the commits between two, and name the last ones; git may not know them."""
    git = Git(repo.root)
    base = git.attempt("log", "--format=%h %s", f"{before}..{after}", "--")
    back = git.attempt("rev-list", "--count", f"{after}..{before}", "--")
    if base.code:  # then the other way cannot be counted either
        return ["of commits that are not in this clone"]
    lines = base.stdout.decode(errors="replace").splitlines()
    behind = int(back.stdout)
    count = f"{len(lines)} commits" if len(lines) != 1 else "1 commit"
    more = [f"and {len(lines) - SHOWN_COMMITS} more"] if len(lines) > SHOWN_COMMITS else []
    return [count + (f", {behind} rolled back" if behind else ""), *lines[:SHOWN_COMMITS], *more]


def _plain(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for key in sorted({*before, *after}):
        if key not in before:
            yield f"plain     + {key}={after[key]}"
        elif key not in after:
            yield f"plain     - {key}"
        elif before[key] != after[key]:
            yield f"plain     ~ {key}: {before[key]} → {after[key]}"


def _sealed(repo: Repo, before: Release | None, after: Release) -> Iterator[str]:
    old, new = set(before.sealed if before else ()), set(after.sealed)
    yield from (f"sealed    + {key}" for key in sorted(new - old))
    yield from (f"sealed    - {key}" for key in sorted(old - new))
    if before is None or before.config == after.config or repo.environments.outside_git(after.environment):
        return
    lines_before, lines_after = (sealed_lines(repo, after.environment, side.config) for side in (before, after))
    if not lines_before or not lines_after:
        yield "sealed    cannot be compared, this clone has not the commit of the release that runs"
        return
    yield from (f"sealed    ~ {key}" for key in sorted(old & new) if lines_before.get(key) != lines_after.get(key))


def _services(before: Mapping[str, Service], after: Mapping[str, Service]) -> Iterator[str]:
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if new is None:
            yield f"service   - {name}"
        elif old is None:
            yield f"service   + {name}, {new.replicas} replica{'s' if new.replicas != 1 else ''}"
        else:
            if old.replicas != new.replicas:
                yield f"replicas  {name} {old.replicas} → {new.replicas}"
            if old.declared != new.declared:
                yield f"service   ~ {name}: {', '.join(_fields(old.declared, new.declared))}"
            if old.keys != new.keys:
                yield f"keys of {name}: {_names(old.keys, new.keys)}"


def _jobs(before: Mapping[str, Job], after: Mapping[str, Job]) -> Iterator[str]:
    yield from (f"job       - {name}" for name in before.keys() - after.keys())
    for name, new in after.items():
        old = before.get(name)
        if old is None:
            yield f"job       + {name}"
        elif old.declared != new.declared:
            yield f"job       ~ {name}: {', '.join(_fields(old.declared, new.declared))}"


def _fields(before: object, after: object) -> list[str]:
    """Name the fields of a dataclass that differ."""
    return [name for name, value in vars(after).items() if value != vars(before)[name]]


def _names(before: Sequence[str], after: Sequence[str]) -> str:
    added, dropped = sorted(set(after) - set(before)), sorted(set(before) - set(after))
    return ", ".join([f"+ {key}" for key in added] + [f"- {key}" for key in dropped]) or "their order"
