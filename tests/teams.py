"""A team that puts its own product in the place of the example, in a clone of this repository."""

import json
import re
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import docker

from ci.ground import ports
from tests import checkouts, figures, swarms

PRODUCTS = "tests/products"
LOCAL, PROD = "local", "prod"
PORTS = {"18000": LOCAL, "18001": PROD}  # in the products' files, for ports that are free when a test runs
MACHINE = "machine.example"  # in the same place: this machine, as containers reach it
# What a team deletes: the example with its tests, and the workflows of other environments than the team has.
EXAMPLE = (
    *("app", "bench", "config", "model", "sandbox", "secrets", "tests", "worker", "requirements"),
    *("Dockerfile", ".dockerignore", "pyproject.toml"),
    *(".github/workflows/deliver.yml", ".github/workflows/drift.yml"),
)
KEPT = ("requirements/lockstep.in", "requirements/lockstep.txt")  # they are Lockstep's
GATES = ("parity", "sealing", "leaks", "rotation")


@dataclass(frozen=True)
class Team:
    """A clone in which the product has the place of the example, with ports of its own."""

    clone: checkouts.Clone
    project: str
    ports: Mapping[str, int]

    @property
    def root(self) -> Path:
        """Where the clone is."""
        return self.clone.repo.root

    def inv(self, *words: str, **options: Any) -> str:
        """Run `inv` there, and note how long it took."""
        begun = time.monotonic()
        said = self.clone.inv(*words, **options)
        figures.tell(f"{self.project}: inv {' '.join(words)}: {time.monotonic() - begun:.1f} s")
        return said

    def commit(self, about: str) -> None:
        """Commit everything."""
        checkouts.git(self.root, "add", "-A")
        checkouts.git(self.root, "commit", "-qm", about)

    def change(self, path: str, old: str, new: str) -> None:
        """Replace a text in a file and commit it."""
        text = (self.root / path).read_text()
        assert old in text
        (self.root / path).write_text(text.replace(old, new))
        self.commit(f"{new} instead of {old}")

    def url(self, environment: str) -> str:
        """Return where an environment answers."""
        return f"http://127.0.0.1:{self.ports[environment]}"

    def ask(self, environment: str, path: str = "/", body: str = "") -> str:
        """Return what an environment's public port answers, to a POST if there is a body."""
        url = f"{self.url(environment)}{path}"
        with urllib.request.urlopen(url, data=body.encode() or None, timeout=10) as answer:
            return str(answer.read().decode())

    def run(self, *words: str, environ: Mapping[str, str] = MappingProxyType({})) -> str:
        """Run a module of Python there and return what it said if it failed."""
        done = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=self.root,
            env=self.clone.environ() | dict(environ),
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout + done.stderr if done.returncode else ""

    def found(self) -> str:
        """Return what the gates find, all four of them."""
        return "".join(self.run(f"ci.gates.{gate}") for gate in GATES)

    def edited(self) -> list[str]:
        """Return the files of ci/ and runtime/ that differ from those of the clone's first commit."""
        words = ["git", "diff", "--name-only", "origin/main", "--", "ci", "runtime"]
        done = subprocess.run(words, cwd=self.root, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()


@contextmanager
def team(product: str, folder: Path, *, engine: bool, **values: str) -> Iterator[Team]:
    """Make the clone of a team, as far as a first commit; what it started is stopped and removed at the end.

    `values` are the secrets of prod that cannot be generated, by key. Without an engine, prod is never deployed.
    """
    clone = checkouts.clone(folder)
    made = Team(clone, f"t{secrets.token_hex(3)}", {name: ports.free() for name in PORTS.values()})
    _replace(product, made, swarms.gateway() if engine else MACHINE)
    assert not made.run("ci.ground.generate")
    answers = "".join(f"{PROD}.{key}={json.dumps(value)}\n" for key, value in values.items())
    made.inv("init", f"--name={made.project}", text=answers)
    made.commit("our own product")
    try:
        yield made
    finally:
        clone.attempt("stop", f"--env={LOCAL}", "--purge")
        if engine:
            clone.attempt("stop", f"--env={PROD}", "--purge", "--yes")
            client: Any = docker.from_env()
            for image in client.images.list(made.project):
                client.images.remove(image.id, force=True)


def _replace(product: str, made: Team, machine: str) -> None:
    """Delete the example, and put a product's files in its place."""
    checkouts.git(made.root, "rm", "-rfq", "--", *EXAMPLE, *(f":!{path}" for path in KEPT))
    listed = checkouts.tracked(f"{PRODUCTS}/{product}")
    places = {name.removeprefix(f"{PRODUCTS}/{product}/"): checkouts.ROOT / name for name in listed}
    checkouts.copy({place.removesuffix(".example"): path for place, path in places.items()}, made.root)
    for path in (made.root / "config").iterdir():
        text = path.read_text().replace(MACHINE, machine)
        path.write_text(re.sub("|".join(PORTS), lambda port: str(made.ports[PORTS[port[0]]]), text))
