"""Whose rules a commit is judged by: with a base, a key or environment that both have obeys the stricter reading.

A pull request could otherwise excuse itself: take `secret` from a key and write its value in clear, or accept its
own leak in config/exceptions.yaml. A permission of the head alone excuses nothing; the gate `loosened` names it.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from ci.ground import git
from ci.ground.environments import Environment, Environments
from ci.ground.repo import Repo
from ci.ground.schema import Key, Schema

SCHEMA, ENVIRONMENTS = "config/schema.yaml", "config/environments.yaml"


@dataclass(frozen=True)
class Examined(Repo):
    """A head that is read as strictly as its base, another commit of the same repository."""

    base: Repo = field(kw_only=True)

    @property
    def declared(self) -> Repo:
        """The head by its own words."""
        return Repo(self.root, self.commit)

    @cached_property
    def schema(self) -> Schema:
        """The head's schema with what the base's says more strictly of the same keys, modules and jobs."""
        head = self.declared.schema
        if not self.base.exists(SCHEMA):
            return head
        base = self.base.schema
        keys = {name: _key(key, base.keys.get(name)) for name, key in head.keys.items()}
        jobs = {
            name: replace(
                job,
                inherits=tuple(
                    word for word in job.inherits if name in base.jobs and word in base.jobs[name].inherits
                ),
            )
            for name, job in head.jobs.items()
        }
        settings = tuple(place for place in head.settings if place in base.settings)
        return replace(head, keys=keys, jobs=jobs, settings=settings)

    @cached_property
    def environments(self) -> Environments:
        """The head's environments; one that was protected, or kept in git, at the base is so still."""
        head = self.declared.environments
        base = self.base.environments.by_name if self.base.exists(ENVIRONMENTS) else {}
        by_name = {name: _environment(about, base.get(name)) for name, about in head.by_name.items()}
        return replace(head, by_name=by_name)


@dataclass(frozen=True)
class _StrictKey(Key):
    """A key whose values obey the rules of the base as well."""

    base: Key

    def problem(self, text: str) -> str | None:
        """Say what is wrong with a value by either schema, without repeating it."""
        return super().problem(text) or self.base.problem(text)


def opened(root: Path, head: str | None, base: str | None) -> Repo:
    """Return what is to be looked at: a folder, or a commit when a head is given or the repository is bare.

    With a base it is read as strictly as that is. GateError for a revision that does not exist.
    """
    bare = (root / "HEAD").is_file() and (root / "objects").is_dir()
    revision = head or ("HEAD" if bare else None)
    commit = git.commit(root, revision) if revision else ""
    if base is None:
        return Repo(root, commit)
    return Examined(root, commit, base=Repo(root, git.commit(root, base)))


def _key(head: Key, base: Key | None) -> Key:
    if base is None:
        return head
    rules, meta = dict(head.rules), dict(head.meta)
    if base.required:
        rules.pop("default", None)
    meta["secret"] = head.secret or base.secret
    if terms := [key.meta["rotate_days"] for key in (head, base) if "rotate_days" in key.meta]:
        meta["rotate_days"] = min(terms)
    meta |= {trait: True for trait in ("same_everywhere", "differs_everywhere") if base.meta.get(trait)}
    if meta["secret"] and not base.meta.get("same_everywhere"):
        meta.pop("same_everywhere", None)  # for a secret it is a permission
    return _StrictKey(head.name, rules, meta, base)


def _environment(head: Environment, base: Environment | None) -> Environment:
    if base is None:
        return head
    return replace(head, protected=head.protected or base.protected, in_git=head.in_git or base.in_git)
