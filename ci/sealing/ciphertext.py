"""A sealed file as bytes: who can open it, what is in it, and the same for others. Nothing is put in place."""

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ci.ground import errors
from ci.ground.repo import Repo
from ci.ground.schema import KEY_NAME
from ci.sealing import recipients, sops
from runtime import Secret

_KEY = re.compile(rf"(?m)^({KEY_NAME.pattern})=")
_READER = re.compile(r"(?m)^sops_age__list_\d+__map_recipient=(.*)$")


def readers(data: bytes) -> list[str]:
    """Return the recipients that a sealed file lists."""
    return _READER.findall(data.decode(errors="replace"))


def is_for(data: bytes, group: Sequence[recipients.Recipient]) -> bool:
    """Whether a sealed file lists exactly these recipients."""
    return sorted(readers(data)) == sorted(recipient.key for recipient in group)


def keys(data: bytes) -> list[str]:
    """Return the keys of a sealed file, which are in clear."""
    return _KEY.findall(data.decode(errors="replace"))


def opened(repo: Repo, name: str, data: bytes, own: Secret) -> tuple[dict[str, str], list[str]]:
    """Return the values of a sealed file by key, and what is wrong with them."""
    return sops.values(sops.call(repo, sops.decrypt_stdin(name), identity=own, text=data.decode(errors="replace")))


def updated(repo: Repo, name: str, data: bytes, values: Mapping[str, str | None], own: Secret) -> bytes:
    """Return a file with these values, without the keys whose value is None; the other lines stay as they are."""
    with tempfile.TemporaryDirectory(prefix="lockstep-") as folder:
        copy = Path(folder) / Path(name).name  # it never holds plaintext
        copy.write_bytes(data)
        for key, value in values.items():
            if value is None:
                sops.call(repo, sops.drop(copy, key), identity=own)
            else:
                sops.call(repo, sops.put(copy, key), identity=own, text=json.dumps(value))
        return copy.read_bytes()


def synced(repo: Repo, environment: str, data: bytes, rules: recipients.Rules, own: Secret) -> bytes:
    """Return a file for the rule's recipients with the data key that it has: its values stay as they are."""
    with tempfile.TemporaryDirectory(prefix="lockstep-") as folder:
        config, file = Path(folder) / ".sops.yaml", Path(folder) / f"secrets/{environment}.enc.env"
        config.write_text(recipients.rules(rules), encoding="utf-8")
        file.parent.mkdir()
        file.write_bytes(data)
        sops.call(repo, sops.updatekeys(config, file), identity=own, cwd=Path(folder))
        new = file.read_bytes()
    _check(environment, new, rules)
    opened(repo, f"{environment}.enc.env", new, own)
    return new


def resealed(
    repo: Repo, environment: str, values: Mapping[str, str], rules: recipients.Rules, own: Secret
) -> bytes:
    """Return values sealed with a new data key for the rule's recipients, which `own` must be among."""
    data = sealed(repo, environment, values, rules)
    opened(repo, f"{environment}.enc.env", data, own)
    return data


def sealed(repo: Repo, environment: str, values: Mapping[str, str], rules: recipients.Rules) -> bytes:
    """Return values sealed with a new data key for exactly the rule's recipients."""
    with tempfile.TemporaryDirectory(prefix="lockstep-") as folder:
        config = Path(folder) / ".sops.yaml"
        config.write_text(recipients.rules(rules), encoding="utf-8")
        arguments = sops.encrypt(config, f"secrets/{environment}.enc.env")
        data = sops.call(repo, arguments, text=json.dumps(values), cwd=Path(folder)).encode()
    _check(environment, data, rules)
    return data


def _check(environment: str, data: bytes, rules: recipients.Rules) -> None:
    """Raise RecipientError unless the data is for exactly those recipients."""
    if not is_for(data, rules[environment]):
        raise errors.RecipientError(
            f"{environment} was not sealed for exactly its recipients, nothing was changed",
            "nox -s secrets says why",
        )
