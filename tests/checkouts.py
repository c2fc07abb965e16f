"""Checkouts for tests to change: the schema, the environments and the plain files, and the real tools."""

import secrets
import shutil
from pathlib import Path

from ci.ground.repo import Repo
from ci.sealing import init
from config.schema import Key

ROOT = Path(__file__).parents[1]


def empty(folder: Path) -> Repo:
    """Return a checkout of the template as it is before `inv init`."""
    (folder / "config").mkdir(parents=True)
    for file in (ROOT / "config").iterdir():
        if file.suffix in (".env", ".yaml"):
            shutil.copy(file, folder / "config")
    (folder / ".tools").symlink_to(ROOT / ".tools")
    return Repo(folder)


def value(environment: str, key: Key) -> str:
    """Return a random good value for a secret key."""
    token = secrets.token_urlsafe(24)
    return {
        "DATABASE_URL": f"postgresql://lockstep:{token}@db.{environment}.internal:5432/lockstep",
        "REDIS_URL": f"rediss://:{token}@redis.{environment}.internal:6379/0",
        "SMS_PROVIDER_API_KEY": f"SK{secrets.token_hex(16)}:{token}",
    }.get(key.name, token)


def initialised(folder: Path, *, post_quantum: bool = False) -> Repo:
    """Return a checkout after `inv init`, every secret set; identities are where XDG_CONFIG_HOME says."""
    init.init(empty(folder), "acme", value, post_quantum=post_quantum)
    return Repo(folder)
