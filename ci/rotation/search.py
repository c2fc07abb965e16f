"""A value in every form in which it may occur, and the search for it. The value is never shown."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from ci.gates.leaks import archives
from ci.gates.leaks.feed import Source
from ci.ground import errors
from ci.ground.redaction import in_base64
from ci.ground.repo import Repo
from ci.sealing import ciphertext, identity
from runtime import Secret

HIDDEN = "***"
_ASIDE = {"\n": b"n", "\r": b"r", "\t": b"t"}  # what follows the backslash is another character there


class Sought:
    """What is looked for: as it is, escaped for a URL or for JSON (once or more), in base64, and in UTF-16.

    In base64 it is also found within a longer text, such as `user:password`, and across line ends.
    """

    def __init__(self, value: str) -> None:
        self._escaped = re.compile(b"".join(map(_escaped, value)))
        self._base64 = frozenset(in_base64(value.encode()))
        self._wide = (value.encode("utf-16-le"), value.encode("utf-16-be"))

    def within(self, data: bytes | str) -> bool:
        """Say whether a text or bytes contain the value."""
        if isinstance(data, str):
            data = data.encode(errors="surrogateescape")
        if self._escaped.search(data) or any(form in data for form in self._wide):
            return True
        bare = data.translate(None, b" \t\r\n")
        return any(form in bare for form in self._base64)

    def masked(self, words: str) -> str:
        """Return a name or a place without any part of it that holds the value."""
        shown = "".join(HIDDEN if self.within(part) else part for part in re.split(r"([/!:])", words))
        return HIDDEN if self.within(shown) else shown


@dataclass
class Search:
    """A search through contents and the archives within them: where the value is, and what could not be opened."""

    sought: Sought
    found: set[Source] = field(default_factory=set)
    unread: set[Source] = field(default_factory=set)

    def at(self, source: Source, data: bytes) -> None:
        """Look at a content: within it, where it is an archive, and at itself unless that found more."""
        opener, known = archives.opener(data), len(self.found)
        if archives.closed(data) or (opener and len(source.inner) >= archives.DEPTH):
            self.unread.add(source)
        elif opener:
            self._unpack(source, data, opener)
        if len(self.found) == known and self.sought.within(data):
            self.found.add(source)

    def _unpack(self, source: Source, data: bytes, opener: archives.Opener) -> None:
        try:
            for name, content in opener(data):
                inside = Source(source.id, (*source.inner, name))
                if self.sought.within(name):
                    self.found.add(inside)
                self.at(inside, content)
        except archives.FAULTS:
            self.unread.add(source)


class Vault:
    """The identities at hand, with those that they replaced, and which keys of what they open hold the value."""

    def __init__(self, repo: Repo, sought: Sought) -> None:
        self._repo, self._sought = repo, sought
        self._own = dict(_identities(repo))
        self._known: dict[bytes, list[str] | errors.LockstepError] = {}

    def keys(self, name: str, data: bytes) -> list[str]:
        """Return the keys of a sealed file that hold the value; the name is for messages.

        Raises WrongIdentityError when no identity opens it, NotSealedError or TamperedError when it is broken.
        """
        digest = hashlib.sha256(data).digest()
        if digest not in self._known:
            try:
                self._known[digest] = self._look(name, data)
            except errors.LockstepError as error:
                self._known[digest] = error
        known = self._known[digest]
        if isinstance(known, errors.LockstepError):
            raise known
        return known

    def _look(self, name: str, data: bytes) -> list[str]:
        readers = [who for who in ciphertext.readers(data) if who in self._own]
        if not readers:
            hint = "let somebody run it whom inv recipients.list shows for it"
            raise errors.WrongIdentityError(f"no identity at hand opens {name}", hint)
        values, _ = ciphertext.opened(self._repo, name, data, self._own[readers[0]])
        return [key for key, value in values.items() if self._sought.within(value)]


def _identities(repo: Repo) -> Iterator[tuple[str, Secret]]:
    """Yield each identity of this user by its recipient; a replaced one is kept beside its successor."""
    for name in repo.environments.by_name:
        file = identity.path(repo, name)
        with suppress(errors.NoIdentityError):
            own = identity.at_hand(repo, name)
            yield from ((who, own) for who in identity.recipient(repo, own).split())
        for old in file.parent.glob(f"{name}.*.agekey"):
            with suppress(errors.NoIdentityError, OSError, UnicodeDecodeError):
                own = Secret(old.read_text(encoding="utf-8"))
                yield from ((who, own) for who in identity.recipient(repo, own).split())


def _escaped(character: str) -> bytes:
    """Return a pattern of one character as it is, and as URLs and JSON escape it, also several times over."""
    raw = re.escape(character.encode())
    if character.isascii() and (character.isalnum() or character in "-._~"):
        return raw
    wide = character.encode("utf-16-be").hex()
    units = [wide[start : start + 4] for start in range(0, len(wide), 4)]
    percent = "".join(f"%(?:25)*{byte:02x}" for byte in character.encode())
    unicode = "".join(rf"\\+u{unit}" for unit in units)
    after = _ASIDE.get(character, raw)
    forms = [raw, rb"\\+" + after, f"(?i:{percent}|{unicode})".encode(), *([rb"\+"] if character == " " else [])]
    return b"(?:" + b"|".join(forms) + b")"
