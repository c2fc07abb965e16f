"""What colleagues do to a checkout with sops and `inv`: set, rotate, join, leave, propose."""

import json
import secrets
from collections.abc import Callable

from ci.ground.repo import Repo
from ci.sealing import edit, identity, sops
from tests.lockstep.gates.sealing.changes import Change, file, rulestext

PROPOSAL = "secrets/proposals/dev/SMTP_PASSWORD-0a1b2c3d.enc.env"


def sealed_by_sops(repo: Repo, *words: str) -> None:
    """Run sops on dev's file, with dev's identity."""
    arguments = ["--config", str(repo.root / ".sops.yaml"), *words, str(repo.sealed("dev"))]
    sops.call(repo, arguments, identity=identity.at_hand(repo, "dev"))


def rotated(repo: Repo) -> None:
    sealed_by_sops(repo, "rotate", "-i")


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


def put_by_sops(key: str = "SMTP_PASSWORD") -> Change:
    """Return what sets a value with sops itself, which keeps the data key whoever has it."""

    def apply(repo: Repo) -> None:
        words = sops.put(repo.sealed("dev"), key)
        sops.call(repo, words, identity=identity.at_hand(repo, "dev"), text=json.dumps(secrets.token_urlsafe()))

    return apply


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
