"""age identities: where they are kept, how they are made, which one is at hand."""

import os
from collections.abc import Mapping
from pathlib import Path

from ci.ground import command, errors, files
from ci.ground.repo import Repo
from runtime import Secret

VARIABLE = "LOCKSTEP_IDENTITY"  # what CI sets, from the secret of that one environment


def path(
    repo: Repo, environment: str, project: str | None = None, environ: Mapping[str, str] = os.environ
) -> Path:
    """Return where this user keeps an environment's identity: outside the checkout, if its values are in git."""
    if repo.environments.outside_git(environment):
        return repo.state_of(environment) / "identity.agekey"
    home = environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(home) / "lockstep" / (project or repo.environments.project) / f"{environment}.agekey"


def at_hand(repo: Repo, environment: str, environ: Mapping[str, str] = os.environ) -> Secret:
    """Return the identity that opens an environment: from LOCKSTEP_IDENTITY, else from its file.

    Raises NoIdentityError when both are missing, or when others may read the file.
    """
    file = path(repo, environment, environ=environ)
    if not repo.environments.outside_git(environment) and (value := environ.get(VARIABLE)):
        return Secret(value)
    try:
        if file.stat().st_mode & 0o077:
            raise errors.NoIdentityError(f"others may read {file}", f"chmod 600 {file}")
        return Secret(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        raise errors.NoIdentityError(
            f"no identity for {environment} here",
            f"put it at {file} (mode 600), or in {VARIABLE}; a recipient of the environment can add you",
        ) from None


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
