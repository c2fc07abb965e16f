"""Builders of changes: what somebody does, or a slip does, to the files of a checkout."""

import base64
import re
import secrets
from collections.abc import Callable

from ci.ground import command
from ci.ground.repo import Repo
from tests import checkouts

Change = Callable[[Repo], object]
TEXT = "not-a-secret-but-it-reads-like-one"


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def value(
    data: bytes | None = None, *, iv: bytes | None = None, tag: bytes | None = None, kind: str = "str"
) -> str:
    """Return a ciphertext that looks right, of random bytes or of those given."""
    data, iv, tag = data or secrets.token_bytes(40), iv or secrets.token_bytes(32), tag or secrets.token_bytes(16)
    return f"ENC[AES256_GCM,data:{encoded(data)},iv:{encoded(iv)},tag:{encoded(tag)},type:{kind}]"


def text(change: Callable[[str], str], environment: str = "dev") -> Change:
    """Return what changes the text of a sealed file."""

    def apply(repo: Repo) -> None:
        path = repo.sealed(environment)
        before = path.read_text()
        after = change(before)
        assert before != after
        path.write_bytes(after.encode())

    return apply


def environments(old: str, new: str) -> Change:
    """Return what replaces the first such words of environments.yaml."""

    def apply(repo: Repo) -> None:
        path = repo.root / "config/environments.yaml"
        before = path.read_text()
        assert old in before
        path.write_text(before.replace(old, new, 1))

    return apply


def first(new: str) -> Change:
    """Return what replaces the first value of a sealed file."""
    return text(lambda old: re.sub(r"(?m)\A(\w+)=.*$", lambda match: f"{match[1]}={new}", old))


def top(line: str) -> Change:
    return text(lambda old: f"{line}\n{old}")


def end(line: str) -> Change:
    return text(lambda old: f"{old}{line}\n")


def swap(pattern: str, new: str) -> Change:
    return text(lambda old: re.sub(pattern, lambda _: new, old, count=1))


def copied(old: str) -> str:
    """Give the second key the ciphertext of the first."""
    rows = old.splitlines(keepends=True)
    rows[1] = rows[1].partition("=")[0] + "=" + rows[0].partition("=")[2]
    return "".join(rows)


def from_other_file(part: str) -> Change:
    """Return what gives dev's first value, or its envelope, the nonce or the envelope of staging's."""

    def apply(repo: Repo) -> None:
        pattern = {"iv": r"iv:[^,]*", "enc": r"map_enc=.*"}[part]
        other = re.findall(pattern, repo.sealed("staging").read_text())[0]
        swap(pattern, other)(repo)

    return apply


def file(path: str, content: str | bytes = "") -> Change:
    """Return what adds a tracked file."""

    def apply(repo: Repo) -> None:
        target = repo.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
        checkouts.git(repo.root, "add", "-f", "--", path)

    return apply


def link(path: str, to: str) -> Change:
    def apply(repo: Repo) -> None:
        (repo.root / path).unlink(missing_ok=True)
        (repo.root / path).symlink_to(to)
        checkouts.git(repo.root, "add", "-f", "--", path)

    return apply


def rulestext(change: Callable[[str], str]) -> Change:
    def apply(repo: Repo) -> None:
        path = repo.root / ".sops.yaml"
        before = path.read_text()
        after = change(before)
        assert before != after
        path.write_text(after)

    return apply


def recoded(code: str) -> Change:
    def apply(repo: Repo) -> None:
        path = repo.root / ".sops.yaml"
        path.write_bytes(path.read_text().encode(code))

    return apply


def both(*changes: Change) -> Change:
    def apply(repo: Repo) -> None:
        for change in changes:
            change(repo)

    return apply


def age_identity(repo: Repo, *, post_quantum: bool = False) -> str:
    flags = ["-pq"] if post_quantum else []
    return command.run([repo.tool("age-keygen"), *flags])


def with_identity(path: str, *, post_quantum: bool = False, frame: bytes = b"%b") -> Change:
    return lambda repo: file(path, frame % age_identity(repo, post_quantum=post_quantum).encode())(repo)


def dump(*keys: str, frame: str = "{}={}\n") -> str:
    return "".join(frame.format(key, secrets.token_urlsafe()) for key in keys)
