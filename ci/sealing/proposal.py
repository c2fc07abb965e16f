"""A value from a person who cannot open the environment: sealed into a small file, merged by a person who can."""

import re
import secrets
from pathlib import Path

from ci.ground import errors
from ci.ground import files as disk
from ci.ground.repo import Repo
from ci.sealing import change, ciphertext, edit, identity, recipients
from runtime import Secret

FOLDER = "secrets/proposals"
_NAME = re.compile(r"([A-Z][A-Z0-9_]*)-[0-9a-f]{8}\.enc\.env")


def files(repo: Repo, environment: str) -> list[Path]:
    """Return the proposals that wait for an environment."""
    return sorted((repo.root / FOLDER / environment).glob("*.enc.env"))


def sealed_files(repo: Repo, environment: str) -> list[Path]:
    """Return everything that is sealed for an environment's recipients."""
    own = repo.sealed(environment)
    return [*([own] if own.exists() else []), *files(repo, environment)]


def propose(repo: Repo, environment: str, key: str, value: str) -> Path:
    """Seal one value for an environment's recipients and return the file; it needs no identity."""
    recipients.of(repo, recipients.read(repo), environment)
    edit.check(repo, environment, key, value)
    path = repo.root / FOLDER / environment / f"{key}-{secrets.token_hex(4)}.enc.env"
    with change.alone(repo):
        disk.replace(path, edit.seal(repo, environment, {key: value}))
    return path


def accept(repo: Repo, environment: str) -> list[str]:
    """Merge all proposals of an environment into its sealed file, delete them, return the keys: all or none."""
    recipients.of(repo, recipients.read(repo), environment)
    with change.alone(repo):
        waiting = files(repo, environment)
        if not waiting:
            return []
        own = identity.at_hand(repo, environment)
        values: dict[str, str] = {}
        for path in waiting:
            key, value = _opened(repo, environment, path, own)
            if key in values:
                raise _refused(path, f"{key} is proposed twice", "keep one of them, delete the other")
            values[key] = value.reveal()
        change.apply(
            repo,
            {**edit.changed(repo, environment, values), **dict.fromkeys(waiting)},
        )
    return list(values)


def _opened(repo: Repo, environment: str, path: Path, own: Secret) -> tuple[str, Secret]:
    """Return a proposal's key and value; it must hold the key that its name has, and a good value."""
    named = _NAME.fullmatch(path.name)
    values, problems = ciphertext.opened(repo, path.name, path.read_bytes(), own)
    if problems or named is None or list(values) != [named[1]]:
        raise _refused(path, "it does not hold the one key that its name tells", "delete it and propose it again")
    key = named[1]
    edit.check(repo, environment, key, values[key])
    return key, Secret(values[key])


def _refused(path: Path, why: str, hint: str) -> errors.LockstepError:
    return errors.NotSealedError(f"{path.name} cannot be accepted, {why}", hint)
