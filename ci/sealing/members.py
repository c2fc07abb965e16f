"""Who can open what: all recipients in one table, one added, one removed."""

from dataclasses import dataclass
from pathlib import Path

from ci.ground import errors
from ci.ground.repo import Repo
from ci.sealing import change, ciphertext, envelopes, exposed, identity, proposal, recipients
from ci.sealing.exposed import Exposed
from ci.sealing.recipients import Recipient
from runtime import Secret


@dataclass(frozen=True)
class Overview:
    """Each recipient with the environments that it opens, what is still open, and which have one recipient."""

    rows: list[tuple[str, str, str]]
    exposed: list[Exposed]
    alone: list[str]


def overview(repo: Repo, environment: str = "") -> Overview:
    """Return who can open what, by the rules and by the files, of one environment or of all."""
    rules = recipients.read(repo)
    if environment:
        recipients.of(repo, rules, environment)
    shown = [name for name in repo.environments.in_git if environment in ("", name)]
    opens: dict[Recipient, list[str]] = {}
    for name in shown:
        path, ruled = repo.sealed(name), rules.get(name, [])
        readers = ciphertext.readers(path.read_bytes()) if path.exists() else []
        for recipient in ruled:
            place = name if recipient.key in readers else f"{name} (in .sops.yaml alone)"
            opens.setdefault(recipient, []).append(place)
        for key in readers:
            if key not in [recipient.key for recipient in ruled]:
                opens.setdefault(Recipient(key), []).append(f"{name} (in the file alone)")
    rows = [
        (recipient.name or "-", f"{recipient.key[:16]}…", ", ".join(names)) for recipient, names in opens.items()
    ]
    open_ = [row for row in exposed.read(repo) if row.environment in shown]
    return Overview(rows, open_, [name for name in shown if len(rules.get(name, [])) == 1])


def add(repo: Repo, environment: str, key: str, name: str = "") -> Recipient:
    """Let a recipient open an environment: rule and files, all or none.

    The values keep their ciphertext, unless somebody else sealed the file.
    """
    with change.alone(repo):
        rules = recipients.read(repo)
        group, recipient = recipients.of(repo, rules, environment), Recipient(key, name)
        recipients.check(repo, recipient, group)
        listed = next((other for other in group if other.key == key), None)
        if listed is None:
            rules[environment] = [*group, recipient]
        elif all(
            key in ciphertext.readers(path.read_bytes()) for path in proposal.sealed_files(repo, environment)
        ):
            raise errors.RecipientError(
                f"{listed} opens {environment} already", "inv recipients.list shows who does"
            )
        own = opener(repo, environment, group)
        changes = {
            path: _opened_for(repo, environment, path, rules, own)
            for path in proposal.sealed_files(repo, environment)
        }
        change.apply(repo, {**changes, recipients.path(repo): recipients.changed(repo, rules)})
    return listed or recipient


def _opened_for(repo: Repo, environment: str, path: Path, rules: recipients.Rules, own: Secret) -> bytes:
    """Return a file for the rule's recipients: with the data key that it has, if that was made here."""
    data = path.read_bytes()
    if path != repo.sealed(environment) or envelopes.ours(data):
        return ciphertext.synced(repo, environment, data, rules, own)
    values, _ = ciphertext.opened(repo, path.name, data, own)
    return ciphertext.resealed(repo, environment, values, rules, own)


def remove(repo: Repo, environment: str, key: str = "", name: str = "") -> tuple[Recipient, list[Exposed]]:
    """Take an environment from a recipient: rule, files with a new data key, and the list of what they could read.

    It needs the identity of a recipient who stays: that proves that the new files can be opened.
    """
    with change.alone(repo):
        rules = recipients.read(repo)
        group = recipients.of(repo, rules, environment)
        recipient = recipients.find(group, key, name)
        rules[environment] = [other for other in group if other != recipient]
        _may_go(repo, environment, recipient, rules[environment])
        own = opener(repo, environment, group)
        _stays(repo, own, recipient)
        changes, keys = rekeyed(repo, environment, rules, own)
        change.apply(repo, {**changes, **exposed.added(repo, environment, keys, recipient)})
    known = (environment, recipient.key)
    return recipient, [row for row in exposed.read(repo) if (row.environment, row.recipient) == known]


def rekeyed(
    repo: Repo, environment: str, rules: recipients.Rules, own: Secret
) -> tuple[dict[Path, bytes | None], list[str]]:
    """Return the rules and the files with a new data key for them, and the keys of the sealed file."""
    changes: dict[Path, bytes | None] = {recipients.path(repo): recipients.changed(repo, rules)}
    keys: list[str] = []
    for path in proposal.sealed_files(repo, environment):
        values, _ = ciphertext.opened(repo, path.name, path.read_bytes(), own)
        changes[path] = ciphertext.resealed(repo, environment, values, rules, own)
        keys += values if path == repo.sealed(environment) else []
    return changes, keys


def opener(repo: Repo, environment: str, group: list[Recipient]) -> Secret:
    """Return the identity at hand; without one and with a single recipient, say what that can mean."""
    try:
        return identity.at_hand(repo, environment)
    except errors.NoIdentityError as error:
        if len(group) > 1:
            raise
        raise errors.NoIdentityError(
            f"{error}, and {environment} has one recipient: {group[0]}",
            f"{error.hint}; or start anew, as above",
            lost(repo, environment),
        ) from None


def lost(repo: Repo, environment: str) -> list[str]:
    """Return what to do when the only identity of an environment is lost: its values cannot be recovered."""
    file = identity.path(repo, environment)
    return [
        "if that identity is lost, so is every value that was sealed for it alone; start anew:",
        f"1. .tools/bin/age-keygen -o {file}",
        f"2. in .sops.yaml, put the recipient that it prints in place of {environment}'s",
        f"3. make every secret anew at its provider, and: inv encrypt --env={environment}",
        f"4. inv recipients.add --env={environment} for somebody else, so that it does not happen again",
    ]


def _may_go(repo: Repo, environment: str, recipient: Recipient, rest: list[Recipient]) -> None:
    if not rest:
        raise errors.RecipientError(
            f"{recipient} is the last recipient of {environment}, without it nobody could ever open it again",
            f"add another one first: inv recipients.add --env={environment} --recipient=age1…",
        )
    if waiting := proposal.files(repo, environment):
        raise errors.RecipientError(
            f"{recipient} can read proposals that wait for {environment}",
            f"inv accept --env={environment} first, or delete them",
            [str(path.relative_to(repo.root)) for path in waiting],
        )


def _stays(repo: Repo, own: Secret, recipient: Recipient) -> None:
    if identity.recipient(repo, own).split() == [recipient.key]:
        raise errors.RecipientError(
            f"{recipient} is the identity at hand, and nobody else has shown that they can open the files",
            f"let another recipient run it, or give their identity in {identity.VARIABLE}",
        )
