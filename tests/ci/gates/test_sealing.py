import base64
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ci.gates import sealing
from ci.gates.sealing import ciphertext, rulesfile, sealed, tracked
from ci.ground import command, git
from ci.ground.errors import GateError
from ci.ground.repo import Repo
from ci.sealing import edit, identity, sops
from tests import checkouts

Change = Callable[[Repo], object]
TEXT = "not-a-secret-but-it-reads-like-one"
BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
ENVIRONMENTS = ["dev", "staging", "prod"]


@pytest.fixture(scope="module", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("LOCKSTEP_IDENTITY", raising=False)
        yield


def made(folder: Path, *, post_quantum: bool = False) -> Path:
    """Return a checkout after `inv init`, committed."""
    root = checkouts.initialised(folder, post_quantum=post_quantum).root
    (root / ".gitignore").write_text("/.tools\n")
    checkouts.git(root, "init", "-q", "-b", "main", "--template=")
    commit(Repo(root))
    return root


def commit(repo: Repo) -> str:
    """Commit the folder as it is and return the SHA."""
    checkouts.git(repo.root, "add", "-A", "-f", ":!.tools")
    checkouts.git(repo.root, "commit", "-qm", "a commit", "--allow-empty")
    return git.commit(repo.root, "HEAD")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, _home: None) -> Path:
    return made(tmp_path_factory.mktemp("template") / "repo")


@pytest.fixture
def repo(template: Path, tmp_path: Path) -> Iterator[Repo]:
    yield Repo(shutil.copytree(template, tmp_path / "repo", symlinks=True))
    shutil.rmtree(tmp_path / "repo")  # some hundred copies are not to be kept


@pytest.fixture(scope="module")
def hybrid_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hybrid")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(folder / "home"))
        return made(folder / "repo", post_quantum=True)


@pytest.fixture
def hybrid(hybrid_template: Path, tmp_path: Path) -> Repo:
    return Repo(shutil.copytree(hybrid_template, tmp_path / "repo", symlinks=True))


def rules(repo: Repo) -> set[str]:
    return {one.rule.removeprefix("sealing/") for one in sealing.check(repo)}


def past(repo: Repo, base: str | None) -> set[str]:
    return {one.rule.removeprefix("sealing/") for one in sealing.check_history(repo, base)}


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


def first(new: str) -> Change:
    """Return what replaces the first value of a sealed file."""
    return text(lambda old: re.sub(r"(?m)\A(\w+)=.*$", lambda match: f"{match[1]}={new}", old))


def top(line: str) -> Change:
    return text(lambda old: f"{line}\n{old}")


def end(line: str) -> Change:
    return text(lambda old: f"{old}{line}\n")


def swap(pattern: str, new: str) -> Change:
    return text(lambda old: re.sub(pattern, lambda _: new, old, count=1))


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


def recoded(code: str) -> Change:
    def apply(repo: Repo) -> None:
        path = repo.root / ".sops.yaml"
        path.write_bytes(path.read_text().encode(code))

    return apply


def rulestext(change: Callable[[str], str]) -> Change:
    def apply(repo: Repo) -> None:
        path = repo.root / ".sops.yaml"
        before = path.read_text()
        after = change(before)
        assert before != after
        path.write_text(after)

    return apply


def both(*changes: Change) -> Change:
    def apply(repo: Repo) -> None:
        for change in changes:
            change(repo)

    return apply


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


def without(old: str, who: str) -> str:
    """Return a sealed file without the envelope of a recipient that is its first."""
    assert f"sops_age__list_0__map_recipient={who}\n" in old
    return re.sub(r"sops_age__list_0__.*\n", "", old).replace("list_1__", "list_0__")


def unpadded(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


def stanza() -> bytes:
    share, body = (unpadded(secrets.token_bytes(32)) for _ in "ab")
    return b"-> X25519 " + share + b"\n" + body + b"\n"


def lines(*order: int) -> Callable[[str], str]:
    def apply(old: str) -> str:
        rows = old.splitlines(keepends=True)
        return "".join(rows[index] for index in order) + "".join(rows[len(order) :])

    return apply


def copied(old: str) -> str:
    """Give the second key the ciphertext of the first."""
    rows = old.splitlines(keepends=True)
    rows[1] = rows[1].partition("=")[0] + "=" + rows[0].partition("=")[2]
    return "".join(rows)


def another(old: str) -> str:
    """Add a second recipient whose envelope is a copy of the first's."""
    rows = re.findall(r"(?m)^sops_age__list_0__map_enc=.*\n", old)
    return old.replace(
        "sops_lastmodified",
        rows[0].replace("list_0", "list_1")
        + f"sops_age__list_1__map_recipient={stranger()}\n"
        + "sops_lastmodified",
        1,
    )


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


def from_other_file(part: str) -> Change:
    """Return what gives dev's first value, or its envelope, the nonce or the envelope of staging's."""

    def apply(repo: Repo) -> None:
        pattern = {"iv": r"iv:[^,]*", "enc": r"map_enc=.*"}[part]
        other = re.findall(pattern, repo.sealed("staging").read_text())[0]
        swap(pattern, other)(repo)

    return apply


def age_identity(repo: Repo, *, post_quantum: bool = False) -> str:
    flags = ["-pq"] if post_quantum else []
    return command.run([repo.tool("age-keygen"), *flags])


def with_identity(path: str, *, post_quantum: bool = False, frame: bytes = b"%b") -> Change:
    return lambda repo: file(path, frame % age_identity(repo, post_quantum=post_quantum).encode())(repo)


def dump(*keys: str, frame: str = "{}={}\n") -> str:
    return "".join(frame.format(key, secrets.token_urlsafe()) for key in keys)


def recipients(repo: Repo) -> list[str]:
    return re.findall(r"age1\w+", (repo.root / ".sops.yaml").read_text())


PROPOSAL = "secrets/proposals/dev/SMTP_PASSWORD-0a1b2c3d.enc.env"


def proposed(path: str = PROPOSAL, *keys: str, change: Callable[[str], str] = str) -> Change:
    """Return what adds a proposal: values for these keys, sealed as dev's rule says, and then changed."""

    def apply(repo: Repo) -> None:
        values = {key: secrets.token_urlsafe() for key in keys or ("SMTP_PASSWORD",)}
        file(path, change(edit.seal(repo, "dev", values)))(repo)

    return apply


def proposed_for_two(repo: Repo) -> None:
    """Add a proposal that one more can open than .sops.yaml says in the end."""
    rules_ = repo.root / ".sops.yaml"
    before = rules_.read_text()
    colleague(repo)
    proposed()(repo)
    rules_.write_text(before)


BAD: list[tuple[str, Change]] = [
    # proposals
    ("proposal", proposed(PROPOSAL, "API_TOKENS")),
    ("proposal", proposed(PROPOSAL, "SMTP_PASSWORD", "API_TOKENS")),
    ("proposal", proposed(PROPOSAL, change=lambda old: f"#{value(kind='comment')}\n{old}")),
    ("proposal", proposed(PROPOSAL.replace("SMTP_PASSWORD", "LOG_LEVEL"), "LOG_LEVEL")),
    ("proposal", proposed(PROPOSAL.replace("SMTP_PASSWORD", "NO_SUCH_KEY"), "NO_SUCH_KEY")),
    ("stranger", proposed(PROPOSAL.replace("dev", "prd"))),
    ("stranger", proposed(PROPOSAL.replace("dev", "local"))),
    ("stray", proposed(PROPOSAL.replace("/dev", ""))),
    ("stray", proposed(PROPOSAL.replace("dev", "dev/dev"))),
    ("stray", proposed(PROPOSAL.replace("-0a1b2c3d", ""))),
    ("stray", proposed(PROPOSAL.replace("-0a1b2c3d", "-0A1B2C3D"))),
    ("stray", proposed(PROPOSAL.replace(".enc", ""))),
    ("stray", file("secrets/proposals/dev/README.md")),
    ("link", both(proposed(), link(PROPOSAL, "../../dev.enc.env"))),
    ("recipient-extra", proposed_for_two),
    ("hidden-reader", proposed(change=enveloped(lambda raw: raw.replace(b"\n->", b"\n" + stanza() + b"->", 1)))),
    ("metadata-unknown", proposed(change=lambda old: f"{old}sops_mac_only_encrypted=true\n")),
    (
        "made-up",
        proposed(change=lambda old: re.sub(r"(?m)^(SMTP_PASSWORD)=.*$", f"\\1={value(TEXT.encode())}", old)),
    ),
    # values
    ("plaintext", first("hunter2")),
    ("plaintext", first('"quoted"')),
    ("plaintext", first(" ENC[AES256_GCM]")),
    ("plaintext", first("enc[AES256_GCM,data:x]")),
    ("plaintext", top(f"NEW_KEY={secrets.token_hex()}")),
    ("plaintext", top("NEW_KEY=a=b=c")),
    ("plaintext", top("NEW_KEY=😀")),
    ("plaintext", first("x" + value())),
    ("empty", first("")),
    ("empty", top("NEW_KEY=")),
    ("malformed", top(f"NEW_KEY={re.sub('data:[^,]*', 'data:', value())}")),
    ("trailing", text(lambda old: old.replace("type:str]", "type:str]hunter2", 1))),
    ("trailing", text(lambda old: old.replace("type:str]", "type:str] # was hunter2", 1))),
    ("trailing", text(lambda old: old.replace("type:str]", "type:str]\\n", 1))),
    ("trailing", text(lambda old: old.replace("type:str]", "type:str] ", 1))),
    ("type", text(lambda old: old.replace("type:str]", "type:comment]", 1))),
    ("type", text(lambda old: old.replace("type:str]", "type:int]", 1))),
    ("type", text(lambda old: old.replace("type:str]", "type:bytes]", 1))),
    ("malformed", text(lambda old: old.replace("type:str]", "type:str", 1))),
    ("malformed", text(lambda old: old.replace("type:str]", "type:]", 1))),
    ("malformed", text(lambda old: old.replace("AES256_GCM", "AES128_GCM", 1))),
    ("malformed", swap("iv:.", "iv:")),
    ("malformed", swap("tag:.", "tag:!")),
    ("malformed", swap("==,type", "=,type")),
    ("malformed", swap(".==,type", "B==,type")),
    ("malformed", swap(".=,tag", "B=,tag")),
    ("malformed", first("ENC[hunter2]")),
    ("malformed", first("ENC[")),
    ("malformed", first(value(iv=secrets.token_bytes(12)))),
    ("malformed", first(value(tag=secrets.token_bytes(12)))),
    ("malformed", first(value(b"\xf3\x99").replace("85k=", "85l="))),
    ("malformed", text(lambda old: old.replace(",iv:", ",hint:hunter2,iv:", 1))),
    ("malformed", first("hunter2".join(("ENC[AES256_GCM,data:", value()[20:])))),
    ("made-up", first(value(TEXT.encode()))),
    ("made-up", first(value(b"hunter2"))),
    ("made-up", first(value(b"two\nlines of it"))),
    ("made-up", first(value("ein längeres Paßwort".encode()))),
    ("made-up", first(value(bytes(40)))),
    ("made-up", first(value(b"1234567"))),
    ("made-up", first(value(base64.b64encode(secrets.token_bytes(30))))),
    ("made-up", first(value(iv=b"A" * 32))),
    ("made-up", first(value(iv=b"a nonce of 32 bytes, all letters"))),
    ("made-up", first(value(tag=bytes(16)))),
    ("reused-iv", text(lambda old: re.sub("(?s)(iv:[^,]*)(.*?)iv:[^,]*", r"\1\2\1", old, count=1))),
    ("reused-iv", text(copied)),
    ("reused-iv", from_other_file("iv")),
    ("reused-iv", text(lambda old: re.sub("(?s)(iv:[^,]*)(.*sops_mac=.*?)iv:[^,]*", r"\1\2\1", old, count=1))),
    # lines
    ("name", top(f"PASSWORD_unencrypted={value()}")),
    ("name", top(f"lower={value()}")),
    ("name", top(f"export KEY={value()}")),
    ("name", top(f" KEY={value()}")),
    ("name", top(f"KEY ={value()}")),
    ("name", top(f"={value()}")),
    ("name", top(f"1KEY={value()}")),
    ("name", top(f"KÉY={value()}")),
    ("name", top(f"\ufeffKEY={value()}")),
    ("duplicate", text(lambda old: old.replace("\n", f"\n{old.partition('=')[0]}={value()}\n", 1))),
    ("duplicate", end("sops_version=3.13.3")),
    ("comment", top("# the password was hunter2")),
    ("comment", top("#")),
    ("comment", top(f"#{value()}")),
    ("comment", top(f"# {value(kind='comment')}")),
    ("comment", top(f"#{value(kind='comment')} hunter2")),
    ("comment", end("# after the metadata")),
    ("comment", top("#SMTP_PASSWORD=hunter2")),
    ("made-up", top(f"#{value(TEXT.encode(), kind='comment')}")),
    ("line", top("")),
    ("line", top("hunter2")),
    ("line", top("  ")),
    ("line", text(lambda old: old.removesuffix("\n"))),
    ("line", end("")),
    ("carriage-return", text(lambda old: old.replace("\n", "\r\n"))),
    ("carriage-return", text(lambda old: old.replace("\n", "\r\n", 1))),
    ("conflict", text(lambda old: f"<<<<<<< HEAD\n{old}=======\n{old}>>>>>>> theirs\n")),
    ("conflict", top("<<<<<<< HEAD")),
    ("conflict", end(">>>>>>> a branch")),
    ("conflict", top("||||||| base")),
    ("conflict", top("=======")),
    # metadata
    ("unsealed", text(lambda old: old.partition("sops_")[0])),
    ("unsealed", text(lambda _: "")),
    ("metadata-unknown", end("sops_mac_only_encrypted=true")),
    ("metadata-unknown", end("sops_note=hunter2")),
    ("metadata-unknown", end("sops_encrypted_regex=^nothing$")),
    ("metadata-unknown", end("sops_unencrypted_regex=^A")),
    ("metadata-unknown", end("sops_shamir_threshold=1")),
    ("metadata-unknown", end("sops_pgp__list_0__map_fp=ABCDEF")),
    ("metadata-unknown", end("sops_kms__list_0__map_arn=arn:aws:kms:x")),
    ("metadata-unknown", end("sops_key_groups__list_0__map_age=x")),
    ("metadata-unknown", end(f"sops_age__list_00__map_recipient={stranger()}")),
    ("metadata-unknown", end(f"sops_age__list_0__map_recipient_={stranger()}")),
    ("metadata-unknown", end("sops_=hunter2")),
    ("metadata-unknown", end("sops_hunter 2=x")),
    ("metadata", swap(r"(?m)^sops_mac=.*\n", "")),
    ("metadata", swap(r"(?m)^sops_lastmodified=.*\n", "")),
    ("metadata", swap(r"(?m)^sops_version=.*\n", "")),
    ("metadata", swap(r"(?m)^sops_version=.*$", "sops_version=hunter2")),
    ("metadata", swap(r"(?m)^sops_version=.*$", "sops_version=")),
    ("metadata", swap(r"(?m)^sops_lastmodified=.*$", "sops_lastmodified=yesterday")),
    ("metadata", swap(r"(?m)^sops_unencrypted_suffix=.*$", "sops_unencrypted_suffix=")),
    ("metadata", swap(r"(?m)^sops_unencrypted_suffix=.*$", "sops_unencrypted_suffix=D")),
    ("metadata", swap(r"(?m)^sops_mac=.*$", "sops_mac=hunter2")),
    ("metadata", swap(r"(?m)^sops_mac=.*$", f"sops_mac={value()}")),
    ("metadata", swap(r"(?m)^sops_mac=.*$", f"sops_mac={value(b'A1' * 64)}")),
    ("metadata", text(lambda old: re.sub(r"(?m)^(sops_mac=.*)$", r"\1hunter2", old))),
    ("metadata", text(lambda old: re.sub(r"(?m)^sops_age.*\n", "", old))),
    ("metadata", swap(r"(?m)^sops_age__list_0__map_enc=.*\n", "")),
    ("metadata", text(lambda old: old.replace("list_0", "list_1"))),
    ("metadata-order", end(f"NEW_KEY={value()}")),
    ("metadata-order", text(lambda old: re.sub(r"(?s)\A([^\n]*\n)(.*)\Z", r"\2\1", old))),
    # envelopes
    ("hidden-reader", envelope(lambda raw: raw.replace(b"\n---", b"\n" + stanza().rstrip(b"\n") + b"\n---", 1))),
    ("hidden-reader", envelope(lambda raw: raw.replace(b"\n->", b"\n" + stanza() + b"->", 1))),
    ("hidden-reader", envelope(lambda raw: raw.replace(b"\n---", b"\n-> scrypt c2FsdA 18\nYWJj\n---", 1))),
    ("envelope", envelope(lambda raw: raw[:-1])),
    ("envelope", envelope(lambda raw: raw + b"x")),
    ("envelope", envelope(lambda raw: raw.replace(b"/v1", b"/v2", 1))),
    ("envelope", envelope(lambda raw: raw.replace(b"X25519", b"piv-p256", 1))),
    ("envelope", envelope(lambda raw: raw[:-64] + b"hunter2!" * 8)),
    ("envelope", envelope(lambda _: secrets.token_bytes(200))),
    ("envelope", swap(r"map_enc=.*", "map_enc=")),
    ("envelope", swap(r"map_enc=.*", "map_enc=hunter2")),
    ("envelope", swap(r"BEGIN AGE ENCRYPTED", "BEGIN AGE DECRYPTED")),
    ("envelope", text(lambda old: re.sub(r"(END AGE ENCRYPTED FILE-----\\n)", r"\1hunter2", old))),
    ("envelope", text(lambda old: re.sub(r"(END AGE ENCRYPTED FILE-----\\n)", r"\1\\n", old))),
    ("envelope", text(lambda old: re.sub(r"(FILE-----\\n.{60})", r"\1\\n", old, count=1))),
    ("envelope", from_other_file("enc")),
    # recipients
    ("recipient-extra", text(junk(stranger()))),
    ("recipient-duplicate", text(junk())),
    (
        "recipient-missing",
        rulestext(lambda old: old.replace("    age:\n", f"    age:\n      - {stranger()}\n", 1)),
    ),
    # .sops.yaml
    ("rules-unreadable", lambda repo: (repo.root / ".sops.yaml").write_text("")),
    ("rules-unreadable", lambda repo: (repo.root / ".sops.yaml").write_text("\t- : [")),
    ("rules-unreadable", lambda repo: (repo.root / ".sops.yaml").write_text("[]")),
    ("rules-unreadable", lambda repo: (repo.root / ".sops.yaml").write_text("creation_rules: x")),
    ("rules-unreadable", lambda repo: (repo.root / ".sops.yaml").write_bytes(b"\xff\xfe\x00")),
    ("rules-unreadable", lambda repo: (repo.root / ".sops.yaml").write_text("[" * 5000)),
    ("rules-unreadable", rulestext(lambda old: f"&a [*a]: 1\n{old}")),
    ("rules-unreadable", rulestext(lambda old: f"a: &a [1]\nb: *a\n{old}")),
    ("rules-unreadable", rulestext(lambda old: f"x: {'[' * 50}{']' * 50}\n{old}")),
    ("rules-unreadable", rulestext(lambda old: f"{old}---\n{old}")),
    ("rules-unreadable", recoded("utf-16")),  # sops reads it
    ("rules-unreadable", recoded("utf-32")),
    ("rules-unreadable", rulestext(lambda old: old + "  - not a mapping\n")),
    ("rules-unreadable", lambda repo: checkouts.git(repo.root, "rm", "-q", ".sops.yaml")),
    ("rules-key", rulestext(lambda old: old + "    mac_only_encrypted: true\n")),
    ("rules-key", rulestext(lambda old: old + "    encrypted_regex: ^nothing$\n")),
    ("rules-key", rulestext(lambda old: old + "    unencrypted_suffix: D\n")),
    ("rules-key", rulestext(lambda old: old + "    kms: arn:aws:kms:x\n")),
    ("rules-key", rulestext(lambda old: old + "    pgp: ABCDEF\n")),
    ("rules-key", rulestext(lambda old: old + "    key_groups: []\n")),
    ("rules-key", rulestext(lambda old: old + "    aeg: []\n")),
    ("rules-key", rulestext(lambda old: old + "stores: {}\n")),
    ("rules-key", rulestext(lambda old: old + "destination_rules: []\n")),
    ("rules-key", rulestext(lambda old: old + "1: x\n")),
    ("rules-key", rulestext(lambda old: "creation_rules: []\n" + old)),
    ("rules-regex", rulestext(lambda old: old + f"  - path_regex: dev.enc.env\n    age: {stranger()}\n")),
    ("rules-regex", rulestext(lambda old: old + f"  - path_regex: .*\n    age: {stranger()}\n")),
    ("rules-regex", rulestext(lambda old: old + f"  - age: {stranger()}\n")),
    ("rules-regex", rulestext(lambda old: old + f"  - path_regex: ^secrets/.*$\n    age: {stranger()}\n")),
    (
        "rules-regex",
        rulestext(lambda old: old + f"  - path_regex: ^secrets/(dev|prod)\\.enc\\.env$\n    age: {stranger()}\n"),
    ),
    (
        "rules-regex",
        rulestext(lambda old: old + f"  - path_regex: ^secrets/dev.enc.env$\n    age: {stranger()}\n"),
    ),
    (
        "rules-regex",
        rulestext(lambda old: old + f"  - path_regex: secrets/dev\\.enc\\.env$\n    age: {stranger()}\n"),
    ),
    (
        "rules-regex",
        rulestext(lambda old: old + f"  - path_regex: ^secrets/dev\\.enc\\.env\n    age: {stranger()}\n"),
    ),
    (
        "rules-stranger",
        rulestext(lambda old: old + f"  - path_regex: ^secrets/prd\\.enc\\.env$\n    age: {stranger()}\n"),
    ),
    (
        "rules-stranger",
        rulestext(lambda old: old + f"  - path_regex: ^secrets/local\\.enc\\.env$\n    age: {stranger()}\n"),
    ),
    (
        "rules-twice",
        rulestext(lambda old: old + f"  - path_regex: ^secrets/dev\\.enc\\.env$\n    age: {stranger()}\n"),
    ),
    (
        "rules-missing",
        both(
            rulestext(lambda old: old[: old.index("  - path_regex: ^secrets/prod")]),
            lambda repo: checkouts.git(repo.root, "rm", "-q", "secrets/prod.enc.env"),
        ),
    ),
    ("rules-missing", rulestext(lambda old: old[: old.index("  - path_regex: ^secrets/prod")])),
    ("rules-repeated", rulestext(lambda old: re.sub(r"(      - age1\w+\n)", r"\1\1", old, count=1))),
    # what has no place
    ("stray", file("secrets/dev.env", "SMTP_PASSWORD=hunter2\n")),
    ("stray", file("secrets/README.md")),
    ("stray", file("secrets/.gitkeep")),
    ("stray", file("secrets/old/dev.enc.env")),
    ("stray", file("secrets/DEV.enc.env")),
    ("stray", file("secrets/dev.enc.ENV")),
    ("stray", file("secrets/dev.enc.env ")),
    ("stray", file("secrets/dev.enc.env\n")),
    ("stray", file("secrets/dev.enc.yaml")),
    ("stray", file("secrets/.dev.enc.env.swp")),
    ("stray", file("secrets/dev.enc.env~")),
    ("stray", file("secrets/dev.enc.env.orig")),
    ("stray", file("secrets/.dev.enc.env.k2x9q1zz")),
    ("stray", file("secrets/dev.enc.env.rej")),
    ("stray", file("secrets/d\u0435v.enc.env")),
    ("stray", file("secrets/.env")),
    ("stray", file("Secrets/dev.enc.env")),
    ("stray", file("SECRETS/x")),
    ("stray", file(os.fsdecode(b"secrets/\xff.enc.env"))),
    ("stray", lambda repo: (repo.root / "secrets/dev.env").write_text("not even tracked")),
    ("link", link("secrets/dev.enc.env", "staging.enc.env")),
    ("link", link("secrets/dev.enc.env", "/etc/hostname")),
    ("link", link("secrets/dev.enc.env", "nowhere")),
    ("stray", link("secrets/other", "dev.enc.env")),
    ("stranger", lambda repo: shutil.move(repo.sealed("dev"), repo.root / "secrets/prd.enc.env")),
    ("stranger", lambda repo: shutil.move(repo.sealed("dev"), repo.root / "secrets/local.enc.env")),
    ("second-rules", file("secrets2/.sops.yaml")),
    ("second-rules", file("config/.sops.yml")),
    ("second-rules", file(".sops.yml")),
    ("identity", with_identity("notes.txt")),
    ("identity", with_identity("keys.txt")),
    ("identity", with_identity("docs/how.md", frame=b"```\n%b```\n")),
    ("identity", with_identity("tests/data.bin", frame=b"\0\xff%b\0")),
    ("identity", with_identity("pq.txt", post_quantum=True)),
    ("identity", with_identity("config/dev.env.example")),
    ("identity", file("plugin", f"AGE-PLUGIN-YUBIKEY-1{stranger(60, '').upper()}")),
    ("identity", file("dev.agekey")),
    ("identity", file(".local/identity.agekey", "binary")),
    ("identity", file("Dev.AgeKey.bak")),
    ("decrypted", file("dev.dec.env")),
    ("decrypted", file("config/prod.DEC.env")),
    ("decrypted", file("prod.decrypted.json")),
    ("decrypted", file("out/staging.dec.yaml")),
    ("backup", file(".dev.env.swp")),
    ("backup", file("config/dev.env~")),
    ("backup", file("config/prod.env.bak")),
    ("backup", file("config/prod.env.orig")),
    ("backup", file("config/prod.env.rej")),
    ("backup", file(".env.swp")),
    ("backup", file("config/#dev.env#")),
    ("backup", file("config/.#dev.env")),
    ("backup", file("config/.dev.env.swo")),
    ("backup", file("config/dev.env.2026-01-01")),
    ("backup", file(".dev.enc.env.swp")),
    ("backup", file("dev.enc.env~")),
    ("backup", file(".sops.yaml.orig")),
    ("backup", file(".sops1234567/tmp-file")),
    ("misplaced", file("config/dev.enc.env")),
    ("misplaced", file("dev.enc.env")),
    ("misplaced", file("k8s/prod.enc.yaml")),
    ("misplaced", file(".local/secrets/local.enc.env")),
    ("clear", file(".env")),
    ("clear", file("app/.env")),
    ("clear", file("prod.env")),
    ("clear", file("Prod.ENV")),
    ("clear", file("config/old/prod.env")),
    ("clear", file(".env.production")),
    ("clear", file(".env.local")),
    ("clear", file("prod.env.txt")),
    ("clear", file("secrets.yaml")),
    ("clear", file("ops/prod-secrets.json")),
    ("clear", file("credentials.json")),
    ("clear", file("dump.txt", dump("SMTP_PASSWORD", "DATABASE_URL"))),
    ("clear", file("setup.sh", dump("SMTP_PASSWORD", "REDIS_URL", frame="export {}={}\n"))),
    ("clear", file("docs/a.md", f"text\n{dump('API_TOKENS', 'REDIS_URL')}")),
]


@pytest.mark.parametrize(("rule", "change"), BAD, ids=[f"{rule}-{n}" for n, (rule, _) in enumerate(BAD)])
def test_what_is_wrong_is_found_by_its_rule(repo: Repo, rule: str, change: Change) -> None:
    """Each bad checkout trips exactly one rule."""
    change(repo)

    assert {rule} == rules(repo)


def rotated(repo: Repo) -> None:
    sealed_by_sops(repo, "rotate", "-i")


def sealed_by_sops(repo: Repo, *words: str) -> None:
    """Run sops on dev's file, with dev's identity."""
    arguments = ["--config", str(repo.root / ".sops.yaml"), *words, str(repo.sealed("dev"))]
    sops.call(repo, arguments, identity=identity.at_hand(repo, "dev"))


def colleague(repo: Repo) -> str:
    """Give dev's rule a second recipient."""
    who = identity.make(repo, repo.root.parent / f"{secrets.token_hex(4)}.agekey")
    rulestext(lambda old: old.replace("    age:\n", f"    age:\n      - {who}\n", 1))(repo)
    return who


def joined(repo: Repo) -> str:
    who = colleague(repo)
    sealed_by_sops(repo, "updatekeys", "-y")
    return who


def left(who: str) -> Change:
    """Return what takes a recipient out of .sops.yaml and of the file, and keeps the data key."""

    def apply(repo: Repo) -> None:
        rulestext(lambda old: old.replace(f"      - {who}\n", ""))(repo)
        sealed_by_sops(repo, "updatekeys", "-y")

    return apply


def put(key: str = "SMTP_PASSWORD") -> Change:
    return lambda repo: edit.put(repo, "dev", key, secrets.token_urlsafe())


GOOD: list[Change] = [
    lambda _: None,
    proposed(),
    both(
        proposed(),
        proposed(PROPOSAL.replace("0a", "0b")),
        proposed(PROPOSAL.replace("SMTP_PASSWORD", "API_TOKENS"), "API_TOKENS"),
    ),
    put(),
    both(put(), put()),
    lambda repo: sops.call(
        repo, sops.drop(repo.sealed("dev"), "SMTP_PASSWORD"), identity=identity.at_hand(repo, "dev")
    ),
    rotated,
    joined,
    both(joined, rotated),
    both(joined, joined, put()),
    lambda repo: left(joined(repo))(repo),
    lambda repo: edit.encrypt(repo, "dev", f"SMTP_PASSWORD={secrets.token_urlsafe()}\n"),
    top(f"#{value(kind='comment')}"),
    top(f"NEW_KEY={value()}"),
    first(value(secrets.token_bytes(3))),
    rulestext(lambda old: old.replace("# Who", "# Whoever")),
    rulestext(lambda old: re.sub(r"age:\n      - (age1\w+)", r"age: \1", old)),
    rulestext(lambda old: re.sub(r"age:\n      - (age1\w+)", r"age: [\1]", old)),
    rulestext(lambda old: old.replace("^secrets/dev\\.enc\\.env$", "'^secrets/dev\\.enc\\.env$'")),
    file("config/dev.env.example", "SMTP_PASSWORD=\n"),
    file(".env.example", "SMTP_PASSWORD=<yours>\nREDIS_URL=$REDIS\n"),
    file("config/extra.env", "LOG_LEVEL=info\n"),
    file("config/secrets.py"),
    file("tests/test_secrets.py"),
    file("docs/keys.txt", "none here, but AGE-SECRET-KEY-1… begins one"),
    file("docs/secrets.md", "age1 and SMTP_PASSWORD=one alone\n"),
    file("migrations/env.py", "SMTP_PASSWORD = 1\nREDIS_URL = 2\n"),
    file("environment.txt"),
    file("docs/secrets/index.md"),
    file("a folder/with 'quotes'\n.md"),
    file(os.fsdecode(b"docs/\xff.md"), b"\xff\0"),
    link("docs.md", "/dev/zero"),
    lambda repo: repo.sealed("dev").chmod(0o755),
    lambda repo: (repo.root / ".env").write_text("not tracked"),
]


@pytest.mark.parametrize("change", GOOD, ids=[str(n) for n in range(len(GOOD))])
def test_what_is_right_is_left_alone(repo: Repo, change: Change) -> None:
    """What sops and a careful colleague do trips nothing."""
    change(repo)

    assert set() == rules(repo)
    assert {"sealed files", "values", "recipients", "tracked files"} == set(sealing.check(repo).looked)


def with_recipient(who: str) -> Change:
    """Return what adds a recipient to dev's rule and, with an envelope, to its file."""
    return both(rulestext(lambda old: old.replace("    age:\n", f"    age:\n      - {who}\n", 1)), text(junk(who)))


@pytest.mark.parametrize(
    "who",
    [
        stranger(58, "age1yubikey1"),
        stranger(40, "age1tag1"),
        f"ssh-ed25519 {secrets.token_hex(34)}",
        stranger(57),
        stranger(58).upper(),
        "age1",
        "hunter2",
    ],
    ids=["yubikey", "tag", "ssh", "short", "upper", "bare", "word"],
)
def test_a_recipient_that_is_not_ages_own(repo: Repo, who: str) -> None:
    """Plugins, SSH keys and slips are found in the rules, and no envelope is of their kind."""
    with_recipient(who)(repo)

    assert {"recipient-plugin", "envelope-kind"} == rules(repo)


def test_a_rule_without_recipients(repo: Repo) -> None:
    """Nobody may open the file, and somebody can."""
    rulestext(lambda old: re.sub(r"age:\n      - age1\w+", "age: []", old, count=1))(repo)

    assert {"rules-nobody", "recipient-extra"} == rules(repo)


def test_recipients_in_another_order(repo: Repo) -> None:
    """The order of recipients means nothing."""
    joined(repo)
    rulestext(lambda old: re.sub(r"(      - \w+\n)(      - \w+\n)", r"\2\1", old, count=1))(repo)

    assert set() == rules(repo)


def test_a_link_in_place_of_the_folder(repo: Repo) -> None:
    """secrets/ itself is no link, for what it leads to is not tracked."""
    shutil.move(repo.root / "secrets", repo.root.parent / "elsewhere")
    checkouts.git(repo.root, "rm", "-rq", "--cached", "secrets")
    link("secrets", "../elsewhere")(repo)

    with pytest.raises(GateError, match="0 sealed files"):
        sealing.check(repo)


def test_a_submodule_in_place_of_a_file(repo: Repo) -> None:
    """What another repository holds is not looked at, so it has no place in secrets/."""
    sha = git.commit(repo.root, "HEAD")
    checkouts.git(repo.root, "rm", "-q", "--cached", "secrets/dev.enc.env")
    checkouts.git(repo.root, "update-index", "--add", "--cacheinfo", f"160000,{sha},secrets/dev.enc.env")

    assert {"link"} == rules(repo)


def test_a_pipe_in_place_of_a_file(repo: Repo) -> None:
    """The gate does not wait for it."""
    repo.sealed("dev").unlink()
    os.mkfifo(repo.sealed("dev"))

    assert {"link"} == rules(repo)


@pytest.mark.parametrize("hidden", ["index", "folder"])
def test_index_and_folder_are_both_looked_at(repo: Repo, hidden: str) -> None:
    """What is staged and mended since is found, and what is not staged yet."""
    good = repo.sealed("dev").read_bytes()
    first("hunter2")(repo)
    if hidden == "index":
        checkouts.git(repo.root, "add", "-A")
        repo.sealed("dev").write_bytes(good)

    assert {"plaintext"} == rules(repo)


def test_a_deleted_file_is_still_tracked(repo: Repo) -> None:
    """To delete a file is not to take it out of git."""
    file(".env")(repo)
    (repo.root / ".env").unlink()

    assert {"clear"} == rules(repo)


@pytest.mark.parametrize(
    "attributes",
    ["* -diff -text binary", "*.env filter=evil", "* export-ignore", "* working-tree-encoding=UTF-16"],
)
def test_attributes_and_configuration_hide_nothing(repo: Repo, tmp_path: Path, attributes: str) -> None:
    """Neither what the checkout's attributes say nor its configuration changes what is found, or runs."""
    ran = tmp_path / "ran"
    first("hunter2")(repo)
    (repo.root / ".gitattributes").write_text(attributes + "\n")
    for name in ("filter.evil.clean", "filter.evil.smudge", "core.fsmonitor", "diff.external", "core.pager"):
        checkouts.git(repo.root, "config", name, f"touch {ran}; false")

    assert {"plaintext"} == rules(repo)
    assert not ran.exists()


def test_a_merge_that_is_not_done(repo: Repo) -> None:
    """Two branches that both set a value end in a conflict, which is told as such."""
    checkouts.git(repo.root, "checkout", "-qb", "side")
    put()(repo)
    commit(repo)
    checkouts.git(repo.root, "checkout", "-q", "main")
    put()(repo)
    commit(repo)
    with pytest.raises(subprocess.CalledProcessError):
        checkouts.git(repo.root, "merge", "side")

    assert {"conflict"} == rules(repo)


def test_findings_tell_place_line_key_and_no_value(repo: Repo) -> None:
    """A finding leads to the line and to the command, and repeats nothing that should not be read."""
    first(TEXT)(repo)

    (found,) = sealing.check(repo)

    assert ("secrets/dev.enc.env", 1, "DATABASE_URL") == (found.place, found.line, found.key)
    assert "inv set --env=dev --key=DATABASE_URL" in found.hint


@pytest.mark.parametrize(
    "template_", [TEXT, f"{TEXT}=", f"KEY={TEXT}", f"# {TEXT}", f"sops_{TEXT}=x", f"sops_mac={TEXT}"]
)
def test_no_message_repeats_what_stands_there(repo: Repo, template_: str) -> None:
    """Whatever a line is, it is described and not shown."""
    top(template_)(repo)

    told = "".join(str(one) for one in sealing.check(repo))

    assert told
    assert TEXT not in told


# post-quantum


def test_post_quantum_files_are_right(hybrid: Repo) -> None:
    """A checkout of post-quantum identities trips nothing, nor after its keys were joined."""
    hybrid_bytes = hybrid.sealed("dev").read_bytes()

    assert b"age1pq1" in hybrid_bytes
    assert set() == rules(hybrid)


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("envelope-kind", envelope(lambda raw: b"age-encryption.org/v1\n" + stanza() + raw[raw.index(b"---") :])),
        ("hidden-reader", envelope(lambda raw: raw.replace(b"\n---", b"\n" + stanza() + b"---", 1))),
        ("envelope", envelope(lambda raw: raw.replace(b"mlkem768x25519 ", b"mlkem768x25519 AAAA", 1))),
        ("envelope", envelope(lambda raw: raw[:-2])),
        ("recipient-weaker", with_recipient(stranger())),
        (
            "recipient-missing",
            rulestext(
                lambda old: old.replace("    age:\n", f"    age:\n      - {stranger(1952, 'age1pq1')}\n", 1)
            ),
        ),
    ],
)
def test_post_quantum_files_that_are_wrong(hybrid: Repo, rule: str, change: Change) -> None:
    """A weaker reader beside a post-quantum one undoes what that was for."""
    change(hybrid)

    assert {rule} == rules(hybrid)


def test_a_post_quantum_stanza_for_an_ordinary_recipient(repo: Repo, hybrid_template: Path) -> None:
    """The kind is held both ways."""
    other = re.findall("map_enc=.*", Repo(hybrid_template).sealed("dev").read_text())[0]
    swap("map_enc=.*", other)(repo)

    assert {"envelope-kind"} == rules(repo)


# history


def steps(repo: Repo, *changes: Change) -> str:
    """Commit each change and return the commit before the first."""
    base = git.commit(repo.root, "HEAD")
    for change in changes:
        change(repo)
        commit(repo)
    return base


def back(repo: Repo) -> None:
    """Take every file back as main's first commit has it."""
    root = (
        subprocess.run(
            ["git", "rev-list", "--max-parents=0", "HEAD"], cwd=repo.root, capture_output=True, check=True
        )
        .stdout.decode()
        .strip()
    )
    checkouts.git(repo.root, "rm", "-rfq", ".")
    checkouts.git(repo.root, "checkout", "-q", root, "--", ".")


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("plaintext", first("hunter2")),
        ("unsealed", text(lambda old: old.partition("sops_")[0])),
        ("trailing", text(lambda old: old.replace("type:str]", "type:str]x", 1))),
        ("hidden-reader", envelope(lambda raw: raw.replace(b"\n---", b"\n" + stanza() + b"---", 1))),
        ("stray", file("secrets/dev.env")),
        ("clear", file(".env", "A=b\n")),
        ("clear", file("x.txt", dump("SMTP_PASSWORD", "REDIS_URL"))),
        ("identity", with_identity("notes.txt")),
        ("decrypted", file("dev.dec.env")),
        ("backup", file("config/dev.env~")),
        ("misplaced", file("dev.enc.env")),
        ("link", link("secrets/dev.enc.env", "staging.enc.env")),
        ("second-rules", file("app/.sops.yaml")),
        ("conflict", top("<<<<<<< HEAD")),
    ],
)
def test_what_a_commit_held_for_a_while_is_found(repo: Repo, rule: str, change: Change) -> None:
    """The next commit takes it back, and it stays in the history."""
    base = steps(repo, change, back)

    assert set() == rules(repo)
    assert {rule} == past(repo, base)
    assert set() == past(repo, git.commit(repo.root, "HEAD~"))


def test_a_finding_of_the_past_names_its_commit(repo: Repo) -> None:
    """The place is commit:path."""
    base = steps(repo, first("hunter2"), back)

    (found,) = sealing.check_history(repo, base)

    assert f"{git.commit(repo.root, 'HEAD~')[:12]}:secrets/dev.enc.env" == found.place


@pytest.mark.parametrize(
    "history",
    [
        (put(),),
        (put(), put("API_TOKENS")),
        (rotated,),
        (joined,),
        (joined, put()),
        (joined, rotated, put()),
        (file("README.md"),),
        (lambda repo: checkouts.git(repo.root, "rm", "-q", "secrets/dev.enc.env"),),
        (lambda repo: both(left(joined(repo)), rotated)(repo),),
        (
            lambda repo: shutil.copy(repo.sealed("dev"), repo.root / "secrets/gone.enc.env"),
            lambda repo: (repo.root / "secrets/gone.enc.env").unlink(),
        ),
    ],
    ids=[
        "set",
        "set twice",
        "rotate",
        "join",
        "join and set",
        "join, rotate, set",
        "a file",
        "delete",
        "leave",
        "an environment that went",
    ],
)
def test_an_honest_history(repo: Repo, history: tuple[Change, ...]) -> None:
    """What colleagues do from day to day trips nothing."""
    base = steps(repo, *history)

    assert set() == past(repo, base)
    assert set() == past(repo, None)


def test_a_removed_recipient_without_a_rotation(repo: Repo) -> None:
    """To run updatekeys keeps the data key, so that who left can still read each value."""
    who = joined(repo)
    commit(repo)

    base = steps(repo, left(who))
    found = sealing.check_history(repo, base)

    assert set() == rules(repo)
    assert {"sealing/removed-reader"} == {one.rule for one in found}
    assert {"secrets/dev.enc.env"} == {one.place for one in found}
    assert 5 == len(found)


def test_a_removed_recipient_with_a_rotation(repo: Repo) -> None:
    """After sops rotate nothing of before is left, in one commit or in two."""
    who = joined(repo)
    commit(repo)

    base = steps(repo, left(who), rotated)

    assert set() == past(repo, base)


def test_one_value_that_was_kept_is_enough(repo: Repo) -> None:
    """A file that still has one old ciphertext has the old data key."""
    who = joined(repo)
    commit(repo)

    base = steps(repo, both(left(who), put("SMTP_PASSWORD")))

    assert {"removed-reader"} == past(repo, base)


def test_a_value_set_between_removal_and_rotation(repo: Repo) -> None:
    """It was sealed with a data key that the removed recipient has, and it lies in the history."""
    who = joined(repo)
    commit(repo)

    base = steps(repo, left(who), put("SMTP_PASSWORD"), rotated)

    assert {"removed-reader"} == past(repo, base)


def test_a_recipient_who_came_and_went_within_the_range(repo: Repo) -> None:
    """Who could read for one commit could read."""
    base = git.commit(repo.root, "HEAD")
    who = joined(repo)
    commit(repo)
    steps(repo, left(who))

    assert {"removed-reader"} == past(repo, base)


def test_a_recipient_removed_on_a_side_branch(repo: Repo) -> None:
    """A merge brings it in; its parents are looked at too."""
    who = joined(repo)
    base = commit(repo)
    checkouts.git(repo.root, "checkout", "-qb", "side")
    steps(repo, left(who))
    checkouts.git(repo.root, "checkout", "-q", "main")
    steps(repo, file("README.md"))
    checkouts.git(repo.root, "merge", "-q", "--no-edit", "side")

    assert {"removed-reader"} == past(repo, base)


def test_what_only_a_merge_commit_brings(repo: Repo) -> None:
    """An evil merge holds what neither side had."""
    base = git.commit(repo.root, "HEAD")
    checkouts.git(repo.root, "checkout", "-qb", "side")
    steps(repo, file("a.md"))
    checkouts.git(repo.root, "checkout", "-q", "main")
    steps(repo, file("b.md"))
    checkouts.git(repo.root, "merge", "-q", "--no-commit", "side")
    first("hunter2")(repo)
    commit(repo)
    steps(repo, back)

    assert {"plaintext"} == past(repo, base)


def test_an_honest_merge(repo: Repo) -> None:
    """What both sides had is not told again."""
    base = git.commit(repo.root, "HEAD")
    checkouts.git(repo.root, "checkout", "-qb", "side")
    steps(repo, put())
    checkouts.git(repo.root, "checkout", "-q", "main")
    steps(repo, file("b.md"))
    checkouts.git(repo.root, "merge", "-q", "--no-edit", "side")

    assert set() == past(repo, base)


def test_an_older_version_that_comes_back(repo: Repo) -> None:
    """A whole old file decrypts; the base's history knows it."""
    old = repo.sealed("dev").read_bytes()
    base = steps(repo, put(), put())
    base = git.commit(repo.root, "HEAD")

    steps(repo, lambda repo: repo.sealed("dev").write_bytes(old))

    assert {"rollback"} == past(repo, base)


def test_a_proposal_that_comes_back(repo: Repo) -> None:
    """One that was accepted or refused is no news when somebody takes it out of the history."""
    proposed()(repo)
    commit(repo)
    text_ = (repo.root / PROPOSAL).read_bytes()
    checkouts.git(repo.root, "rm", "-q", PROPOSAL)
    base = commit(repo)

    steps(repo, file(PROPOSAL.replace("0a", "0b"), text_))

    assert {"rollback"} == past(repo, base)


def test_a_proposal_that_a_removed_recipient_can_read(repo: Repo) -> None:
    """A proposal that waits while somebody leaves is sealed anew, or found."""
    who = colleague(repo)
    sealed_by_sops(repo, "updatekeys", "-y")
    proposed()(repo)
    base = commit(repo)
    waiting = (repo.root / PROPOSAL).read_text()

    steps(repo, both(left(who), rotated, file(PROPOSAL, without(waiting, who))))
    found = sealing.check_history(repo, base)

    assert {("sealing/removed-reader", PROPOSAL)} == {(one.rule, one.place) for one in found}


def test_a_branch_that_is_behind_its_base(repo: Repo) -> None:
    """Who does not touch a file does not roll it back."""
    checkouts.git(repo.root, "checkout", "-qb", "side")
    steps(repo, file("a.md"))
    checkouts.git(repo.root, "checkout", "-q", "main")
    steps(repo, put())
    checkouts.git(repo.root, "checkout", "-q", "side")

    assert set() == past(repo, "main")


def test_the_first_commit_is_looked_at(repo: Repo) -> None:
    """Without a base the whole history counts, from its root."""
    first("hunter2")(repo)
    checkouts.git(repo.root, "commit", "-qa", "--amend", "--no-edit")
    steps(repo, file("README.md"))

    assert {"plaintext"} == past(repo, None)


# what cannot be looked at


def shallow(repo: Repo) -> Repo:
    steps(repo, put(), put())
    checkouts.git(repo.root.parent, "clone", "-q", "--depth=2", f"file://{repo.root}", "shallow")
    return Repo(repo.root.parent / "shallow")


def missing(repo: Repo) -> Repo:
    steps(repo, put(), put())
    name = git.blob(repo.sealed("dev").read_bytes(), "0" * 40)
    (repo.root / f".git/objects/{name[:2]}/{name[2:]}").unlink()
    return repo


@pytest.mark.parametrize(
    ("prepare", "base"),
    [
        (shallow, "HEAD~"),
        (shallow, None),
        (missing, "HEAD~"),
        (lambda repo: repo, "HEAD"),
        (lambda repo: repo, "no-such-revision"),
        (lambda repo: repo, ""),
        (lambda repo: repo, "--all"),
        (lambda repo: repo, "HEAD:secrets"),
        (lambda repo: repo, "A..B"),
    ],
)
def test_a_history_that_cannot_be_looked_at(repo: Repo, prepare: Callable[[Repo], Repo], base: str | None) -> None:
    """A shallow clone, a missing object, a wrong revision and no commit are no clean result."""
    with pytest.raises(GateError):
        sealing.check_history(prepare(repo), base)


def no_git(repo: Repo) -> Repo:
    shutil.rmtree(repo.root / ".git")
    return repo


def below(repo: Repo) -> Repo:
    return Repo(
        shutil.copytree(repo.root, repo.root / "inner", symlinks=True, ignore=lambda *_: [".git", "inner"])
    )


def no_secrets(repo: Repo) -> Repo:
    checkouts.git(repo.root, "rm", "-rq", "secrets")
    return repo


def broken_index(repo: Repo) -> Repo:
    (repo.root / ".git/index").write_bytes(b"DIRC" + secrets.token_bytes(100))
    return repo


def other_worktree(repo: Repo) -> Repo:
    checkouts.git(repo.root, "config", "core.worktree", str(repo.root.parent))
    return repo


@pytest.mark.parametrize("prepare", [no_git, below, no_secrets, broken_index, other_worktree])
def test_a_folder_that_cannot_be_looked_at(repo: Repo, prepare: Callable[[Repo], Repo]) -> None:
    """Whatever is no whole checkout is no clean result."""
    with pytest.raises(GateError):
        sealing.check(prepare(repo))


# any bytes


@settings(max_examples=300)
@given(
    data=st.one_of(
        st.binary(max_size=400), st.text(alphabet="AB=#\n\rsop_]ENC[,:data", max_size=200).map(str.encode)
    )
)
def test_any_bytes_are_no_sealed_file(data: bytes) -> None:
    """Whatever stands there, it is found and there is no traceback."""
    assert sealed.read("secrets/dev.enc.env", data).findings


@settings(max_examples=200)
@given(
    data=st.one_of(
        st.binary(max_size=200), st.text(alphabet="creation_rules: -[]{}&*!age\n\t'", max_size=120).map(str.encode)
    )
)
def test_any_bytes_are_no_rules(data: bytes) -> None:
    """Whatever stands in .sops.yaml, it is found and there is no traceback."""
    assert rulesfile.read(data, ENVIRONMENTS).findings


@settings(max_examples=200)
@given(
    path=st.text(min_size=1, max_size=60),
    data=st.binary(max_size=100),
    mode=st.sampled_from(["100644", "120000", "160000"]),
)
def test_any_path_can_be_judged(path: str, data: bytes, mode: str) -> None:
    """Whatever a file is called, what is told of it can be printed."""
    found = list(tracked.look({path: tracked.Entry(mode, data)}, ENVIRONMENTS, ["SMTP_PASSWORD"]))

    assert all(one.place.isprintable() for one in found)


def mutated(lines_: list[bytes], kind: str, row: int, column: int, byte: int) -> bytes:
    """Return a sealed file with one value line flipped, swapped, cut, doubled or moved."""
    rows = list(lines_)
    line = rows[row]
    at = line.index(b"=") + 1 + column % (len(line) - line.index(b"=") - 2)
    match kind:
        case "flip":
            rows[row] = line[:at] + bytes([byte]) + line[at + 1 :]
        case "insert":
            rows[row] = line[:at] + bytes([byte]) + line[at:]
        case "delete":
            rows[row] = line[:at] + line[at + 1 :]
        case "swap":
            rows[row], rows[(row + 1) % 5] = rows[(row + 1) % 5], rows[row]
        case "double":
            rows.insert(row, line)
        case "drop":
            del rows[row]
    return b"".join(rows)


ALPHABET = b"ABCyz019+/=,:[]# \\n\x00\xff"


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["flip", "insert", "delete", "swap", "double", "drop"]),
    where=st.tuples(st.integers(0, 4), st.integers(0, 10_000)),
    byte=st.sampled_from(ALPHABET),
)
def test_a_changed_value_is_found_or_does_not_decrypt(
    template: Path, tmp_path: Path, kind: str, where: tuple[int, int], byte: int
) -> None:
    """What the gate lets through, sops refuses: together they leave no way to change a value."""
    repo = Repo(template)
    before = repo.sealed("dev").read_bytes()
    after = mutated(before.splitlines(keepends=True), kind, *where, byte)
    copy = tmp_path / "dev.enc.env"
    copy.write_bytes(after)

    found = sealed.read("secrets/dev.enc.env", after).findings
    own = {"SOPS_AGE_KEY": identity.at_hand(repo, "dev").reveal(), "HOME": str(tmp_path)}
    refused = bool(found) or command.attempt([repo.tool("sops"), *sops.decrypt(copy)], env=own).code != 0

    assert (after != before) == refused


@settings(max_examples=300)
@given(data=st.text(alphabet=st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=9, max_size=60))
def test_text_is_never_taken_for_ciphertext(data: str) -> None:
    """Printable text of nine characters or more is made up."""
    assert ciphertext.made_up(data.encode())


def test_random_bytes_are_not_taken_for_text() -> None:
    """Of values as long as a token, none in 20,000 is."""
    found = [one for one in (secrets.token_bytes(24) for _ in range(20_000)) if ciphertext.made_up(one)]

    assert [] == found


# as a program


def program(repo: Repo, *words: str, code: int) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ci.gates.sealing", *words, str(repo.root)],
        cwd=checkouts.ROOT,
        capture_output=True,
        check=False,
        timeout=60,
    )
    output = done.stdout.decode() + done.stderr.decode()
    assert code == done.returncode, output
    assert "Traceback" not in output
    return output


def test_a_clean_checkout_ends_with_0(repo: Repo) -> None:
    """The last line proves that the gate looked."""
    base = steps(repo, put())

    output = program(repo, f"--base={base}", code=0)

    assert "0 findings; looked at 3 sealed files, 15 values, 3 recipients" in output
    assert "1 commits" in output


@pytest.mark.parametrize("form", ["text", "json", "sarif", "github"])
def test_findings_end_with_1_in_every_format(repo: Repo, form: str) -> None:
    """Each format names the rule and the place, and none the value."""
    first(TEXT)(repo)

    output = program(repo, f"--format={form}", code=1)

    assert "sealing/plaintext" in output
    assert "secrets/dev.enc.env" in output
    assert TEXT not in output
    if form in ("json", "sarif"):
        json.loads(output)


@pytest.mark.parametrize("form", ["text", "json", "sarif", "github"])
def test_a_name_of_odd_bytes_is_told_in_every_format(repo: Repo, form: str) -> None:
    """A path that is no UTF-8, with a line break, breaks no output."""
    file(os.fsdecode(b"secrets/\xff\n::error::x"))(repo)

    assert "sealing/stray" in program(repo, f"--format={form}", code=1)


def test_history_is_an_option(repo: Repo) -> None:
    """`--history HEAD` looks at all of it."""
    steps(repo, first("hunter2"), back)

    program(repo, code=0)
    program(repo, "--history=HEAD", code=1)
    program(repo, "--history=HEAD~2..HEAD~1", code=1)
    program(repo, "--base=HEAD~1", code=0)


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (no_git, []),
        (no_secrets, []),
        (shallow, ["--base=HEAD~"]),
        (lambda repo: repo, ["--base=HEAD"]),
        (lambda repo: repo, ["--base="]),
        (lambda repo: repo, ["--history=..."]),
        (lambda repo: repo, ["--base=HEAD", "--history=HEAD"]),
    ],
)
def test_what_cannot_be_looked_at_ends_with_2(
    repo: Repo, prepare: Callable[[Repo], Repo], words: list[str]
) -> None:
    """It is never taken for clean."""
    program(prepare(repo), *words, code=2)


def test_an_exception_excuses_a_finding_of_the_past(repo: Repo) -> None:
    """And a run without the history does not call it useless."""
    base = steps(repo, first("hunter2"), back)
    (found,) = sealing.check_history(repo, base)
    (repo.root / "config/exceptions.yaml").write_text(
        f"exceptions:\n- {{rule: {found.rule}, place: '{found.place}', reason: it is gone, expires: 2999-01-01}}\n"
    )

    program(repo, f"--base={base}", code=0)
    program(repo, code=0)


def test_every_rule_has_a_bad_checkout() -> None:
    """No rule is there that no test trips, and ids are unique."""
    own = {one.id.removeprefix("sealing/") for one in sealing.RULES}
    elsewhere = {
        "rules-nobody",
        "recipient-plugin",
        "recipient-weaker",
        "envelope-kind",
        "removed-reader",
        "rollback",
    }

    assert own == {rule for rule, _ in BAD} | elsewhere
    assert len(own) == len(sealing.RULES)


def test_this_repository_is_clean() -> None:
    """What holds for others holds here."""
    here = Repo(checkouts.ROOT)

    assert set() == rules(here)
