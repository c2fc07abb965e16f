"""What tests of recipients do to a checkout, and what they look at."""

import pytest
import yaml

from ci.gates import sealing
from ci.ground import command, errors
from ci.ground.repo import Repo
from ci.sealing import ciphertext, environment, identity, sops
from runtime import Secret
from tests import checkouts

DEV = "dev"
LINES = "-----BEGIN\r\n\tback\\nslash \\ \"ü\" 'x' # 🔑\n -----END\n\n"  # what an env file cannot hold
TRACKED = (".sops.yaml", "config", "secrets")


def optional(repo: Repo, key: str) -> Repo:
    """Return the checkout with a secret made optional that nothing generates."""
    path = repo.root / "config/schema.yaml"
    document = yaml.safe_load(path.read_text())
    document["keys"][key] |= {"nullable": True, "default": None}
    document["keys"][key]["meta"].pop("generate", None)
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return Repo(repo.root)


def by_hand(repo: Repo, key: str) -> Repo:
    """Return the checkout with a required secret that nothing generates."""
    path = repo.root / "config/schema.yaml"
    document = yaml.safe_load(path.read_text())
    document["keys"][key]["meta"].pop("generate")
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return Repo(repo.root)


def commit(repo: Repo) -> None:
    checkouts.git(repo.root, "add", "-A")
    checkouts.git(repo.root, "commit", "-qm", "a change", "--allow-empty")


def committed(repo: Repo) -> Repo:
    """Return the checkout as a git repository with one commit."""
    (repo.root / ".gitignore").write_text("/.tools\n/.local\n")
    checkouts.git(repo.root, "init", "-q", "-b", "main", "--template=")
    commit(repo)
    return repo


def tree(repo: Repo) -> dict[str, bytes]:
    """Return every file that is tracked or could be."""
    paths = [path for name in TRACKED for path in [repo.root / name, *(repo.root / name).rglob("*")]]
    return {str(path.relative_to(repo.root)): path.read_bytes() for path in paths if path.is_file()}


def findings(repo: Repo) -> set[str]:
    """Return what the sealing gate finds in the tree and, committed, in the whole history."""
    commit(repo)
    return {one.rule for one in [*sealing.check(repo), *sealing.check_history(repo, None)]}


def person(repo: Repo, name: str = "colleague", *, post_quantum: bool = False) -> tuple[str, Secret]:
    """Return the recipient and the identity of somebody else."""
    path = repo.root.parent / f"{name}.agekey"
    return identity.make(repo, path, post_quantum=post_quantum), Secret(path.read_text())


def values(repo: Repo) -> dict[str, str]:
    return {key: value.reveal() for key, value in environment.sealed(repo, DEV).items()}


def opens(repo: Repo, own: Secret, data: bytes | None = None) -> bool:
    """Tell whether an identity, and nothing else on this machine, opens dev's file."""
    try:
        ciphertext.opened(repo, "dev.enc.env", data or repo.sealed(DEV).read_bytes(), own)
    except errors.WrongIdentityError:
        return False
    return True


def with_old_key(repo: Repo, own: Secret, old: bytes, new: bytes) -> dict[str, int]:
    """Return sops' exit code for each value of the new file under the old envelopes, whatever the MAC says."""
    metadata = old[old.index(b"sops_age") :].decode()
    codes = {}
    for line in new.decode().partition("sops_")[0].splitlines():
        words = [*sops.decrypt_stdin("dev.enc.env"), "--ignore-mac"]
        env = {"SOPS_AGE_KEY": own.reveal(), "HOME": "/nonexistent"}
        text = f"{line}\n{metadata}".encode()
        codes[line.partition("=")[0]] = command.attempt([repo.tool("sops"), *words], input=text, env=env).code
    return codes


def failing_sops(repo: Repo, monkeypatch: pytest.MonkeyPatch, nth: int) -> None:
    """Put a sops in place that is the real one, but for its n-th call."""
    folder, real = repo.root.parent / "tools", (repo.root / ".tools/bin").resolve()
    folder.mkdir(exist_ok=True)
    for tool in real.iterdir():
        (folder / tool.name).unlink(missing_ok=True)
        (folder / tool.name).symlink_to(tool)
    (folder / "sops").unlink()
    (folder / "sops").write_text(
        f"#!/bin/sh\necho >> {folder}/calls\n"
        f'[ "$(wc -l < {folder}/calls)" -eq {nth} ] && exit 1\nexec {real}/sops "$@"\n'
    )
    (folder / "sops").chmod(0o755)
    (folder / "calls").unlink(missing_ok=True)
    checkouts.recorded(folder)
    monkeypatch.setattr(Repo, "tools", folder)
