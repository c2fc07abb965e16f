"""The provider's API keys. A file keeps each one's id, the hash of its secret, and its times; never the secret.

A plain SHA-256 is enough: the secrets are random, there is nothing to guess.
"""

import hashlib
import hmac
import json
import secrets
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sandbox import files
from sandbox.errors import StartError
from sandbox.inbox import now


class LastKeyError(Exception):
    """Without this key nobody could make another."""


@dataclass(frozen=True)
class Key:
    """An API key; `revoked` is the time it was, `name` what its maker calls it."""

    id: str
    sha256: str
    created: str
    revoked: str | None = None
    name: str = ""


class Keys:
    """Every key there ever was: a revoked one stays known, so that it cannot come back.

    Raises StartError when the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            kept = json.loads(path.read_bytes())["keys"] if path.exists() else []
            self._keys = {one["id"]: Key(**one) for one in kept}
        except (ValueError, KeyError, TypeError):
            hint = "remove it; the sandbox then knows the environment's own key alone"
            raise StartError(f"{path} is damaged", hint) from None

    def all(self) -> list[Key]:
        """Return the keys, oldest first."""
        return list(self._keys.values())

    def admits(self, name: str, secret: str) -> bool:
        """Say whether a secret is that of a valid key."""
        key = self._keys.get(name)
        return key is not None and not key.revoked and hmac.compare_digest(key.sha256, _hash(secret))

    def add(self, identifier: str, secret: str, name: str = "") -> None:
        """Make a key valid, unless its id was seen before."""
        if identifier not in self._keys:
            self._put(Key(identifier, _hash(secret), now(), name=name))

    def create(self, name: str = "") -> tuple[str, str]:
        """Return a new key's id and secret."""
        identifier, secret = f"SK{secrets.token_hex(16)}", secrets.token_urlsafe(32)
        self.add(identifier, secret, name)
        return identifier, secret

    def revoke(self, name: str) -> None:
        """Revoke a key for good; KeyError if there is none, LastKeyError if it is the last valid one."""
        key = self._keys[name]
        if key.revoked:
            return
        if not any(other for other in self.all() if not other.revoked and other != key):
            raise LastKeyError
        self._put(replace(key, revoked=now()))

    def _put(self, key: Key) -> None:
        changed = {**self._keys, key.id: key}
        document = {"keys": [asdict(one) for one in changed.values()]}
        files.replace(self._path, json.dumps(document, indent=1))
        self._keys = changed


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
