"""The age files of a sealed file, made and remade by hand: who they are for, and who else opens them."""

import base64
import re
import secrets
import textwrap
from collections.abc import Callable

from tests.lockstep.gates.sealing.changes import Change, both, encoded, rulestext, text

BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def stranger(length: int = 58, prefix: str = "age1") -> str:
    return prefix + "".join(secrets.choice(BECH32) for _ in range(length))


def envelope(change: Callable[[bytes], bytes]) -> Change:
    """Return what changes the age file in the first envelope, and writes its armor anew."""
    return text(enveloped(change))


def enveloped(change: Callable[[bytes], bytes]) -> Callable[[str], str]:
    def apply(old: str) -> str:
        match = re.search(r"(?m)^(sops_age__list_0__map_enc=)(.*)$", old)
        assert match
        body = "".join(match[2].split("\\n")[1:-2])
        rows = textwrap.wrap(encoded(change(base64.b64decode(body))), 64)
        armor = ["-----BEGIN AGE ENCRYPTED FILE-----", *rows, "-----END AGE ENCRYPTED FILE-----", ""]
        return old.replace(match[0], match[1] + "\\n".join(armor))

    return apply


def unpadded(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


def stanza() -> bytes:
    share, body = (unpadded(secrets.token_bytes(32)) for _ in "ab")
    return b"-> X25519 " + share + b"\n" + body + b"\n"


def junk(who: str | None = None, index: int = 1) -> Callable[[str], str]:
    """Add a recipient with an envelope that looks right and opens nothing."""

    def apply(old: str) -> str:
        header = b"age-encryption.org/v1\n" + stanza() + b"--- " + unpadded(secrets.token_bytes(32)) + b"\n"
        rows = textwrap.wrap(encoded(header + secrets.token_bytes(64)), 64)
        armor = "\\n".join(["-----BEGIN AGE ENCRYPTED FILE-----", *rows, "-----END AGE ENCRYPTED FILE-----", ""])
        own = re.findall(r"(?m)^sops_age__list_0__map_recipient=(.*)$", old)[0]
        added = f"sops_age__list_{index}__map_enc={armor}\nsops_age__list_{index}__map_recipient={who or own}\n"
        return old.replace("sops_lastmodified", added + "sops_lastmodified", 1)

    return apply


def without(old: str, who: str) -> str:
    """Return a sealed file without the envelope of a recipient that is its first."""
    assert f"sops_age__list_0__map_recipient={who}\n" in old
    return re.sub(r"sops_age__list_0__.*\n", "", old).replace("list_1__", "list_0__")


def with_recipient(who: str) -> Change:
    """Return what adds a recipient to dev's rule and, with an envelope, to its file."""
    return both(rulestext(lambda old: old.replace("    age:\n", f"    age:\n      - {who}\n", 1)), text(junk(who)))
