"""`inv init`: the template becomes a team's own: its identities, its recipients, its sealed secrets."""

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ci.ground import dotenv, errors, files, ports
from ci.ground.environments import NAME, TEMPLATE
from ci.ground.repo import Repo
from ci.ground.schema import Key
from ci.sealing import change, ciphertext, edit, envelopes, identity, merge, own, recipients, unset
from runtime import Secret

Ask = Callable[[str, Key], str]  # environment and key in, the value out; empty to leave it for later


@dataclass
class Report:
    """What an init made: identities by environment, and the keys that still need a value."""

    project: str
    identities: dict[str, Path] = field(default_factory=dict)
    reused: list[str] = field(default_factory=list)
    missing: dict[str, list[str]] = field(default_factory=dict)


def init(repo: Repo, project: str, ask: Ask, *, post_quantum: bool = False) -> Report:
    """Make the repository the user's own, under a project's name or its folder's, and return what was made.

    An identity per environment, outside the repository and never over an existing file; .sops.yaml; every value
    that can be generated; the others from `ask`; an exception for each that is left for later. The files of the
    repository change at the very end, all of them, and the project's name last: a run that failed is simply run
    again.
    """
    merge.install(repo)
    project = project or re.sub(r"[^a-z0-9-]+", "-", repo.root.name.lower()).strip("-")
    _check(repo, project)
    report = Report(project)
    names = repo.environments.in_git
    keys = {name: _identity(repo, name, project, report, post_quantum=post_quantum) for name in names}
    sealed = {name: _values(repo, name, ask, report) for name in names}
    accepted = unset.accepted(repo, report.missing)
    write(repo, keys, sealed)
    if accepted:
        files.replace(unset.path(repo), accepted)
    else:
        unset.path(repo).unlink(missing_ok=True)
    path = repo.root / "config/environments.yaml"
    text = path.read_text(encoding="utf-8")
    files.replace(path, re.sub(r"(?m)^project: .*$", f"project: {project}", text))
    return report


def own_values(repo: Repo, name: str) -> None:
    """Generate what an environment that is not in git lacks on this machine; what exists stays, whoever set it.

    ConfigurationError names the secrets that only a person can give, each with the command that sets it.
    """
    if not repo.sealed(name).exists() or any(key.generator(name) for key in lacking(repo, name)):
        with change.alone(repo):
            own.ready(repo, name)
            templates = {key.name: key.generator(name) for key in lacking(repo, name)}
            values = {key: generate(template) for key, template in templates.items() if template}
            for key, value in values.items():
                edit.check(repo, name, key, value)
            change.apply(repo, edit.changed(repo, name, values))
    if missing := [key.name for key in lacking(repo, name) if key.required]:
        raise errors.ConfigurationError(
            f"{name} needs secrets that cannot be generated, nothing was deployed",
            "set each of them once, later deploys keep it",
            [f"inv set --env={name} --key={key}" for key in missing],
        )


def write(repo: Repo, keys: Mapping[str, str], sealed: Mapping[str, Mapping[str, str]]) -> None:
    """Write .sops.yaml, one recipient an environment, and the sealed files: all are made before one is written."""
    rules = repo.root / ".sops.yaml"
    before = rules.read_bytes() if rules.exists() else None
    files.replace(rules, recipients.rules({name: [recipients.Recipient(key)] for name, key in keys.items()}))
    try:
        texts = {name: edit.seal(repo, name, values) for name, values in sealed.items()}
    except BaseException:
        files.replace(rules, before) if before is not None else rules.unlink()
        raise
    for name, text in texts.items():
        envelopes.note(text.encode())
        files.replace(repo.sealed(name), text)


def generate(template: str) -> str:
    """Fill a `generate` template: {token} is 256 random bits, {hex} 128, {port} a free port of this machine."""
    return template.format(token=secrets.token_urlsafe(32), hex=secrets.token_hex(16), port=ports.free())


def answers(repo: Repo, text: str) -> Ask:
    """Return what answers from `environment.KEY=value` lines; DirtyValueError names every line that is wrong."""
    values, problems = given(text)
    pairs = {(name, key.name) for name in repo.environments.by_name for key in repo.schema.secrets()}
    problems += [
        f"{name}.{key} is no secret of an environment" for name, key in values if (name, key) not in pairs
    ]
    if problems:
        hint = f"environment.KEY=value; what such a line cannot hold is written {dotenv.QUOTED}"
        raise errors.DirtyValueError("stdin cannot be read, nothing was changed", hint, problems)
    return lambda name, key: values.get((name, key.name), "")


def given(text: str) -> tuple[dict[tuple[str, str], str], list[str]]:
    """Read `environment.KEY=value` lines: values by environment and key, and what is wrong, without values."""
    values, problems = {}, []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line or line.startswith("#"):
            continue
        place, equals, value = line.partition("=")
        environment, dot, key = place.partition(".")
        if not equals or not dot:
            problems.append(f"line {number}: is not environment.KEY=value")
            continue
        values[environment, key], fault = dotenv.typed(value)
        if fault:
            problems.append(f"line {number}: the value {fault}")
    return values, problems


def lacking(repo: Repo, name: str) -> list[Key]:
    """Return the secrets that have no value yet; the names of those that have one are in clear."""
    path = repo.sealed(name)
    known = ciphertext.keys(path.read_bytes()) if path.exists() else []
    return [key for key in repo.schema.within(name).secrets() if key.name not in known]


def _check(repo: Repo, project: str) -> None:
    if repo.environments.project != TEMPLATE:
        raise errors.IdentityExistsError(
            f"this repository is {repo.environments.project}'s already, no file was changed",
            "to read its secrets, ask a recipient to add you; to start over, "
            f"write project: {TEMPLATE} into config/environments.yaml first",
        )
    if not NAME.fullmatch(project) or project == TEMPLATE:
        raise errors.UsageError(f"{project} is no name for a project", "small letters, digits and -: --name=acme")


def _identity(repo: Repo, name: str, project: str, report: Report, *, post_quantum: bool) -> str:
    file = identity.path(repo, name, project)
    report.identities[name] = file
    if file.exists():
        report.reused.append(name)
        return identity.recipient(repo, Secret(file.read_text(encoding="utf-8")))
    return identity.make(repo, file, post_quantum=post_quantum)


def _values(repo: Repo, name: str, ask: Ask, report: Report) -> dict[str, str]:
    values = {}
    for key in repo.schema.within(name).secrets():
        template = key.generator(name)
        if not template and not key.required:
            continue  # inv set adds it where it is wanted
        value = generate(template) if template else ask(name, key)
        if value:
            edit.check(repo, name, key.name, value)
            values[key.name] = value
        else:
            report.missing.setdefault(name, []).append(key.name)
    return values
