"""Checkouts for tests to change: of the project in tests/lockstep/project, and of this very repository."""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType

import pytest

from ci.ground import generate, ports, programs
from ci.ground.repo import Repo
from ci.ground.schema import Key, Schema
from ci.sealing import init

ROOT = Path(__file__).parents[1]
PROJECT = "tests/lockstep/project"
# What a machine needs to fetch packages as it does for the tests themselves.
FETCHING = ("UV_DEFAULT_INDEX", "PIP_INDEX_URL", "SSL_CERT_FILE", "SSL_CERT_DIR")


@cache
def schema() -> Schema:
    """Return the schema of the project that Lockstep's tests use."""
    return Repo(ROOT / PROJECT).schema


def empty(folder: Path) -> Repo:
    """Return a checkout that has the project's config as it is before `inv init`, and nothing else."""
    copy(project("config"), folder)
    tools(folder)
    return Repo(folder)


def gate(folder: Path) -> Repo:
    """Return a checkout that gates run from, whose programs are still to be put there."""
    for name in ("ci", "runtime"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / ".tools/bin").mkdir(parents=True)
    return Repo(folder)


def recorded(tools: Path) -> None:
    """Record the programs in a folder as those that were installed."""
    sums = {path.name: {"sha256": programs.digest(path)} for path in tools.iterdir()}
    (tools.parent / "installed.json").write_text(json.dumps({"all": {"programs": sums}}))


def tools(folder: Path) -> None:
    """Share the programs of this machine with a checkout."""
    (folder / ".tools").mkdir()
    for name in ("bin", "installed.json"):
        (folder / ".tools" / name).symlink_to(ROOT / ".tools" / name)


def generated(folder: Path) -> None:
    """Write what is generated from a checkout's schema."""
    read = Repo(folder).schema
    for name, make in generate.FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(make(read))


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
    """Let identities and what a user's machine keeps lie below a folder for as long as this lasts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(folder))
        patch.setenv("XDG_CACHE_HOME", str(folder / "caches"))
        patch.delenv("LOCKSTEP_IDENTITY", raising=False)
        yield


def initialised(folder: Path, *, post_quantum: bool = False) -> Repo:
    """Return a checkout after `inv init`, every secret set; identities are at home."""
    init.init(empty(folder), "acme", value, post_quantum=post_quantum)
    return Repo(folder)


@dataclass(frozen=True)
class Clone:
    """A clone as a newcomer has it, with ports, a home and a temp folder of its own.

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
        """Return what a new user's shell holds; packages come from the cache of this machine."""
        known = {name: os.environ[name] for name in FETCHING if name in os.environ}
        known |= {"UV_SYSTEM_CERTS": "1", "UV_CACHE_DIR": _cache_of_packages()}
        return known | {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "TMPDIR": str(self.temp),
            "NO_COLOR": "1",
        }


@cache
def _cache_of_packages() -> str:
    done = subprocess.run([sys.executable, "-m", "uv", "cache", "dir"], capture_output=True, check=True)
    return done.stdout.decode().strip()


def clone(folder: Path) -> Clone:
    """Clone this repository, with what is not committed yet; tools and packages are shared."""
    return _cloned(folder, {name: ROOT / name for name in tracked()})


def fixture(folder: Path) -> Clone:
    """Clone a repository that holds Lockstep's managed files and the project that Lockstep's tests use."""
    own = {name: ROOT / name for name in managed() if not name.startswith(".github/")}
    return _cloned(folder, own | project(), generated)


def project(*names: str) -> dict[str, Path]:
    """Return the files of the project that Lockstep's tests use, or of some of its folders, by place.

    Its plain values are called examples here: the sealing gate lets no env file lie outside of config/.
    """
    listed = tracked(*(f"{PROJECT}/{name}" for name in names or (".",)))
    return {name.removeprefix(f"{PROJECT}/").removesuffix(".example"): ROOT / name for name in listed}


def managed() -> list[str]:
    """Return the files of this repository that Lockstep manages, as ci/managed.toml has it."""
    document = tomllib.loads((ROOT / "ci/managed.toml").read_text())
    theirs = [*document["generated"], *document["team"]]
    return tracked(*document["managed"], *(f":(exclude){pattern}" for pattern in theirs))


def copy(files: Mapping[str, Path], folder: Path) -> None:
    """Copy files to their places below a folder."""
    for name, path in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / name)


def tracked(*patterns: str) -> list[str]:
    """Return the files that git knows or would add, of this repository or below some places in it."""
    words = ["git", "ls-files", "-coz", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def _cloned(folder: Path, files: Mapping[str, Path], finish: Callable[[Path], None] = lambda _: None) -> Clone:
    """Commit files to a repository, clone it, and give the clone free ports."""
    origin, root = folder / "origin", folder / "clone"
    copy(files, origin)
    finish(origin)
    git(origin, "init", "-q", "-b", "main")
    git(origin, "add", "-A")
    git(origin, "commit", "-qm", "the tree under test")
    git(folder, "clone", "-q", str(origin), str(root))
    tools(root)
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
    # In one pass: a port that was given may hold one that is still to be replaced, as 28010 does.
    text = re.sub(r"\b(8000|8010|8025)\b", lambda _: str(ports.free()), path.read_text())
    path.write_text(text)
