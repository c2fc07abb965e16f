"""A project whose dev, staging and prod run on the swarm of this machine, and load upon its proxy."""

import json
import re
import secrets
import socket
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docker
import psutil
import yaml

from ci.delivery import servers
from ci.ground import dotenv, generate, ports
from ci.ground.repo import Repo
from tests import checkouts, proxies, redises, sandboxes, services
from tests.sandboxes import Sandbox

ENVIRONMENTS = ("dev", "staging", "prod")


@dataclass(frozen=True)
class Project:
    """A clone that is somebody's own, with servers that containers can reach."""

    clone: checkouts.Clone
    name: str
    ports: Mapping[str, int]
    databases: Mapping[str, str]
    sandbox: Sandbox

    def inv(self, *words: str, **options: Any) -> str:
        """Run `inv` there."""
        return self.clone.inv(*words, **options)

    def arrived(self) -> set[str]:
        """Return the ids of the messages that the provider was handed; its inbox keeps the last thousand alone."""
        return set(re.findall(r"delivered, (\S+) to its sender", self.sandbox.log.read_text()))

    def build(self, *words: str) -> None:
        """Build HEAD's image."""
        self.inv("build", *words)

    def token(self, environment: str) -> str:
        """Return a token of the api."""
        values, _ = dotenv.parse(self.inv("decrypt", f"--env={environment}").encode())
        return values["API_TOKENS"].partition(",")[0]

    def sha(self, environment: str) -> str:
        """Return the commit whose image answers."""
        return str(version(self.url(environment))["sha"])

    def tweak(self, environment: str) -> None:
        """Commit another plain value."""
        path = f"config/{environment}.env"
        values, _ = dotenv.parse(self.read(path).encode())
        values["DELIVERY_ATTEMPTS"] = str(int(values["DELIVERY_ATTEMPTS"]) % 50 + 1)
        self.write(path, dotenv.render(values))
        self.commit(f"{environment} tries {values['DELIVERY_ATTEMPTS']} times")

    def commit(self, about: str) -> str:
        """Commit everything and return the short SHA."""
        checkouts.git(self.clone.repo.root, "add", "-A")
        checkouts.git(self.clone.repo.root, "commit", "-qm", about)
        words = ["git", "rev-parse", "--short=12", "HEAD"]
        return (
            subprocess.run(words, cwd=self.clone.repo.root, capture_output=True, check=True)
            .stdout.decode()
            .strip()
        )

    def write(self, path: str, text: str) -> None:
        """Write a file of the clone."""
        (self.clone.repo.root / path).write_text(text)

    def read(self, path: str) -> str:
        """Read a file of the clone."""
        return (self.clone.repo.root / path).read_text()

    def url(self, environment: str) -> str:
        """Return where the proxy of an environment answers."""
        return f"http://127.0.0.1:{self.ports[environment]}"

    def service(self, environment: str, name: str) -> Any:
        """Return a service as the engine has it."""
        services: Any = docker.from_env().services
        return services.get(f"{self.name}-{environment}-{name}")


@contextmanager
def project(folder: Path, postgres_url: str, redis_url: str, host: str = "") -> Iterator[Project]:
    """Make the project; all that it started is stopped and removed at the end.

    `host` is this machine's address to the containers, without it that on the bridge of this machine's engine.
    """
    name = f"t{secrets.token_hex(3)}"
    clone = checkouts.clone(folder)
    clone.inv("init", f"--name={name}")
    with ExitStack() as stack:
        (folder / "sandbox").mkdir()
        sandbox = stack.enter_context(sandboxes.running(folder / "sandbox", host=host or gateway()))
        postgres, redis, provider = (
            stack.enter_context(reachable(url, host)) for url in (postgres_url, redis_url, sandbox.url)
        )
        databases = {one: services.new_database(postgres_url) for one in ENVIRONMENTS}
        made = Project(clone, name, {one: ports.free() for one in ENVIRONMENTS}, databases, sandbox)
        _configure(made, proxies.moved(sandbox.url, provider))
        for number, one in enumerate(ENVIRONMENTS):
            values = _values(
                made,
                one,
                proxies.moved(databases[one], postgres),
                proxies.moved(services.numbered(redis_url, number), redis),
            )
            made.inv("encrypt", f"--env={one}", text=dotenv.render(values))
        made.commit("make it ours")
        try:
            yield made
        finally:
            for one in ENVIRONMENTS:
                made.inv("stop", f"--env={one}", "--purge", "--yes")
            client: Any = docker.from_env()
            for image in client.images.list(name):
                for tag in [tag for tag in image.tags if tag.startswith(f"{name}:")]:
                    client.images.remove(tag, force=True)


@contextmanager
def alone(folder: Path) -> Iterator[Project]:
    """Make the project on a Postgres and a Redis of its own, whose passwords it may change."""
    postgres = f"postgresql://lockstep:{secrets.token_urlsafe()}@127.0.0.1:{ports.free()}/lockstep"
    redis = redises.url()
    for name in ("redis", "project"):
        (folder / name).mkdir()
    with (
        servers.serving(servers.postgres(postgres, folder / "postgres/data", folder / "postgres/log")),
        redises.running(folder / "redis", redis),
        project(folder / "project", postgres, redis) as made,
    ):
        yield made


def _configure(made: Project, provider: str) -> None:
    path = "config/environments.yaml"
    document = yaml.safe_load(made.read(path))
    for one in ENVIRONMENTS:
        about = document["environments"][one]
        about |= {
            "swarm": {"proxy": {"port": made.ports[one], "image": "haproxy:2.6-bookworm"}},
            "soak_minutes": 0,
        }
    made.write(path, yaml.safe_dump(document, sort_keys=False))
    for one in ENVIRONMENTS:
        plain, _ = dotenv.parse(made.read(f"config/{one}.env").encode())
        plain |= {"SHUTDOWN_GRACE_SECONDS": "10", "WORKER_CONCURRENCY": "2", "DATABASE_POOL_SIZE": "5"}
        plain |= {"SMS_PROVIDER": "sandbox", "SMS_PROVIDER_URL": provider, "DELIVERY_BACKOFF_SECONDS": "0.5"}
        made.write(f"config/{one}.env", dotenv.render(plain))
    schema = made.read("config/schema.yaml")
    for key in ("REDIS_URL", "SMS_PROVIDER_URL"):  # the servers of these tests have no TLS
        schema = re.sub(rf"(?s)(\n  {key}:\n.*?url: \[)(\w+), \w+\]", r"\1\2]", schema, count=1)
    made.write("config/schema.yaml", schema)
    generate.write(Repo(made.clone.repo.root))


def _values(made: Project, environment: str, database: str, redis: str) -> dict[str, str]:
    keys = made.clone.repo.schema.secrets()
    return {key.name: checkouts.value(environment, key) for key in keys} | {
        "DATABASE_URL": database,
        "REDIS_URL": redis,
        "SMS_PROVIDER_API_KEY": made.sandbox.key,
    }


@contextmanager
def reachable(url: str, host: str = "") -> Iterator[tuple[str, int]]:
    """Pass on what containers send to the bridge's address, for our servers listen at loopback alone."""
    port = urlsplit(url).port
    assert port
    with proxies.running(port, host or gateway()) as proxy:
        yield proxy.address


def gateway() -> str:
    """Return this machine's address on the engine's bridge."""
    return next(one.address for one in psutil.net_if_addrs()["docker0"] if one.family == socket.AF_INET)


def version(url: str) -> dict[str, Any]:
    """Return which release answers."""
    with urllib.request.urlopen(f"{url}/version", timeout=5) as answer:
        return dict(json.load(answer))
