"""age identities: where they are kept, how they are made, which one is at hand."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from ci.ground import command, errors, files, machine
from ci.ground.repo import Repo
from runtime import Secret

_BECH32 = "[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]"
_IDENTITY = re.compile(
    rf"AGE-SECRET-KEY-1{_BECH32}{{58}}|AGE-SECRET-KEY-PQ-1{_BECH32}{{58}}|AGE-PLUGIN-[A-Z0-9+_.-]+1{_BECH32}+"
)
_QUOTES = "\"'`\u2018\u2019\u201c\u201d"
_MISTAKEN: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("is empty", lambda text: not text),
    ("begins with a byte order mark", lambda text: text.startswith("\ufeff")),
    ("is in quotes", lambda text: text[0] in _QUOTES or text[-1] in _QUOTES),
    ("is a recipient, the public half of an identity", lambda text: text.startswith("age1")),
    ("is an SSH key", lambda text: text.startswith(("ssh-", "-----BEGIN OPENSSH"))),
    ("is the name of a file", lambda text: "\n" not in text and ("/" in text or text.endswith(".agekey"))),
    ("is a name and a value", lambda text: "=" in text and "AGE-SECRET-KEY-" in text),
    ("is not in capitals", lambda text: text.startswith("age-secret-key-")),
)
VARIABLE = "LOCKSTEP_IDENTITY"  # what CI sets, from the secret of that one environment


def path(
    repo: Repo, environment: str, project: str | None = None, environ: Mapping[str, str] = os.environ
) -> Path:
    """Return where this user keeps an environment's identity: outside the checkout, if its values are in git."""
    if repo.environments.outside_git(environment):
        return repo.state_of(environment) / "identity.agekey"
    folder = environ.get("XDG_CONFIG_HOME") or machine.home() / ".config"
    return Path(folder) / "lockstep" / (project or repo.environments.project) / f"{environment}.agekey"


def at_hand(repo: Repo, environment: str, environ: Mapping[str, str] = os.environ) -> Secret:
    """Return the identity that opens an environment: from LOCKSTEP_IDENTITY, else from its file.

    Raises NoIdentityError when both are missing, or when others may read the file.
    """
    if not repo.environments.outside_git(environment) and (value := environ.get(VARIABLE)):
        return _checked(value, VARIABLE)
    try:
        file = path(repo, environment, environ=environ)
    except errors.MachineError as error:
        hint = f"put it in {VARIABLE}, or {error.hint}"
        raise errors.NoIdentityError(f"no identity for {environment} here, {error}", hint) from None
    try:
        if file.stat().st_mode & 0o077:
            raise errors.NoIdentityError(f"others may read {file}", f"chmod 600 {file}")
        return _checked(file.read_text(encoding="utf-8"), str(file))
    except (OSError, UnicodeDecodeError):
        raise errors.NoIdentityError(
            f"no identity for {environment} here",
            f"put it at {file} (mode 600), or in {VARIABLE}; a recipient of the environment can add you",
        ) from None


def _checked(text: str, place: str) -> Secret:
    """Return an identity; NoIdentityError, which shows nothing of it, when the text is something else."""
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if lines and all(map(_IDENTITY.fullmatch, lines)):
        return Secret(text)
    bare = text.strip()
    what = next((what for what, fits in _MISTAKEN if fits(bare)), "is not an age identity")
    raise errors.NoIdentityError(
        f"what is in {place} {what}", "it must be the line AGE-SECRET-KEY-1… that age-keygen wrote, and no more"
    )


def make(repo: Repo, file: Path, *, post_quantum: bool = False) -> str:
    """Make an identity in a new file, mode 0600, and return its recipient; never over an existing file."""
    flags = ["-pq"] if post_quantum else []
    result = command.attempt([repo.tool("age-keygen"), *flags])
    if result.code:
        raise errors.CommandError("age-keygen made no identity", "run it by hand and look: .tools/bin/age-keygen")
    try:
        files.create(file, result.stdout)
    except FileExistsError:
        raise errors.IdentityExistsError(f"{file} is there", "move it away first if it is not needed") from None
    return recipient(repo, Secret(result.stdout.decode()))


def recipient(repo: Repo, identity: Secret) -> str:
    """Return the public half of an identity."""
    result = command.attempt([repo.tool("age-keygen"), "-y"], input=identity.reveal().encode())
    if result.code:
        raise errors.NoIdentityError(
            "the identity at hand is not an age identity", "it begins with AGE-SECRET-KEY-"
        )
    return result.stdout.decode().strip()
