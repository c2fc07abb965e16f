"""Checkouts for tests to change: the schema, the environments and the plain files, and the real tools."""

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import pytest

from ci.ground import ports
from ci.ground.repo import Repo
from ci.ground.schema import Key
from ci.sealing import init

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


def answers(repo: Repo) -> str:
    """Return the lines that `inv init` reads: a value for every secret that it cannot generate."""
    return "".join(
        f"{environment}.{key.name}={value(environment, key)}\n"
        for environment in ("dev", "staging", "prod")
        for key in repo.schema.secrets()
        if key.generator(environment) is None
    )


@contextmanager
def at_home(folder: Path) -> Iterator[None]:
    """Let identities lie below a folder, and nowhere else, for as long as this lasts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(folder))
        patch.delenv("LOCKSTEP_IDENTITY", raising=False)
        yield


def initialised(folder: Path, *, post_quantum: bool = False) -> Repo:
    """Return a checkout after `inv init`, every secret set; identities are at home."""
    init.init(empty(folder), "acme", value, post_quantum=post_quantum)
    return Repo(folder)


@dataclass(frozen=True)
class Clone:
    """A clone of this tree as a newcomer has it, with ports, a home and a temp folder of its own.

    `printed` is what all of its commands said but `inv decrypt`, whose output is secret.
    """

    repo: Repo
    home: Path
    temp: Path
    printed: bytearray = field(default_factory=bytearray, repr=False, compare=False)

    def inv(
        self, *words: str, text: str = "", code: int = 0, environ: Mapping[str, str] = MappingProxyType({})
    ) -> str:
        """Run `inv` there and return its stdout; the exit code must be `code`."""
        done = self.attempt(*words, text=text, environ=environ)
        stdout, stderr = done.stdout.decode(), done.stderr.decode()
        assert code == done.returncode, stdout + stderr
        return stdout + (stderr if code else "")

    def attempt(
        self, *words: str, text: str = "", environ: Mapping[str, str] = MappingProxyType({})
    ) -> subprocess.CompletedProcess[bytes]:
        """Run `inv` there, however it ends."""
        done = subprocess.run(
            [sys.executable, "-m", "invoke", *words],
            input=text.encode(errors="surrogateescape"),
            cwd=self.repo.root,
            env=self.environ() | dict(environ),
            capture_output=True,
            timeout=180,
            check=False,
        )
        if "decrypt" not in words:
            self.printed.extend(done.stdout + done.stderr)
        return done

    def environ(self) -> dict[str, str]:
        """Return what a new user's shell holds."""
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), "TMPDIR": str(self.temp), "NO_COLOR": "1"}


def clone(folder: Path) -> Clone:
    """Clone this tree, with what is not committed yet, and give it free ports; tools and packages are shared."""
    origin, root = folder / "origin", folder / "clone"
    listed = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).exists():
            (origin / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, origin / name)
    git(origin, "init", "-q", "-b", "main")
    git(origin, "add", "-A")
    git(origin, "commit", "-qm", "the tree under test")
    git(folder, "clone", "-q", str(origin), str(root))
    (root / ".tools").symlink_to(ROOT / ".tools")
    move_ports(root / "config/local.env")
    for name in ("home", "temp"):
        (folder / name).mkdir()
    return Clone(Repo(root), folder / "home", folder / "temp")


def git(folder: Path, *words: str) -> None:
    """Run git as somebody, whoever runs the tests."""
    who = ["-c", "user.name=Story", "-c", "user.email=story@lockstep.example", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def named(folder: Path) -> None:
    """Be somebody to git there, who commits."""
    for name, value in (("user.name", "Story"), ("user.email", "story@lockstep.example")):
        git(folder, "config", name, value)


def move_ports(path: Path) -> None:
    """Give an environment's plain file ports that nobody uses, so that stories run beside each other."""
    text = path.read_text()
    for port in ("8000", "8010", "8025"):
        text = text.replace(port, str(ports.free()))
    path.write_text(text)
