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
from ci.sealing import edit, identity, merge, recipients, unset
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
    own = {name: _identity(repo, name, project, report, post_quantum=post_quantum) for name in names}
    sealed = {name: _values(repo, name, ask, report) for name in names}
    accepted = unset.accepted(repo, report.missing)
    write(repo, repo.root, own, sealed)
    if accepted:
        files.replace(unset.path(repo), accepted)
    else:
        unset.path(repo).unlink(missing_ok=True)
    path = repo.root / "config/environments.yaml"
    text = path.read_text(encoding="utf-8")
    files.replace(path, re.sub(r"(?m)^project: .*$", f"project: {project}", text))
    return report


def own_values(repo: Repo, name: str) -> None:
    """Make what an environment that is not in git needs on this machine, by the same steps; what exists stays."""
    if repo.sealed(name).exists():
        return
    file = identity.path(repo, name)
    own = identity.recipient(repo, identity.at_hand(repo, name)) if file.exists() else identity.make(repo, file)
    values = _values(repo, name, lambda _name, _key: "", Report(name))
    write(repo, repo.state_of(name), {name: own}, {name: values})


def write(repo: Repo, vault: Path, own: Mapping[str, str], sealed: Mapping[str, Mapping[str, str]]) -> None:
    """Write .sops.yaml and the sealed files into a vault: all are made before the first is put in place."""
    rules = vault / ".sops.yaml"
    before = rules.read_bytes() if rules.exists() else None
    files.replace(rules, recipients.rules({name: [recipients.Recipient(key)] for name, key in own.items()}))
    try:
        ciphertext = {name: edit.seal(repo, name, values, vault) for name, values in sealed.items()}
    except BaseException:
        files.replace(rules, before) if before is not None else rules.unlink()
        raise
    for name, text in ciphertext.items():
        files.replace(vault / f"secrets/{name}.enc.env", text)


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
        hint = "environment.KEY=value"
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
        if fault := dotenv.dirt(value):
            problems.append(f"line {number}: the value {fault}")
        values[environment, key] = value
    return values, problems


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
    for key in repo.schema.secrets():
        template = key.generator(name)
        value = generate(template) if template else ask(name, key)
        if value:
            edit.check(repo, name, key.name, value)
            values[key.name] = value
        else:
            report.missing.setdefault(name, []).append(key.name)
    return values
