"""DESIGN's promise, on a swarm: a project's whole life, then all that outlives it is searched for its secrets.

Every secret is a canary, made for this run; so are its messages' bodies and recipients, which are personal.
"""

import gzip
import json
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import docker
import httpx
import psycopg
import pytest
from psycopg import sql
from redis import Redis

from ci.delivery import servers
from ci.ground import dotenv
from tests import checkouts, figures, kills, load, services, swarms, sweeps
from tests.rotations import BEHIND, DATABASE, REDIS, SMS, Environment
from tests.swarms import Project

pytestmark = pytest.mark.engine

SECRET, IDENTITY, PERSONAL, KNOWN = "secret", "identity", "personal", "known"
# What belongs where, and must be there; all other places hold none.
BELONGS = {
    "home": {IDENTITY},
    "redis' settings": {SECRET},
    "database, dumped": {PERSONAL},
    "database, on disk": {PERSONAL},
    "provider's inbox": {PERSONAL},
}
# Whose metrics are asked for in a container of which service, where, and one of them.
METRICS = {
    "the api": ("api", "http://127.0.0.1:8000", "lockstep_info"),
    "the worker": ("worker", "http://127.0.0.1:8000", "lockstep_info"),
    "the proxy": ("api", "http://PROXY:8404", "haproxy_backend_http_responses_total"),
}


@dataclass(frozen=True)
class Place:
    """Files, and something known that is in there: who does not find that has not looked."""

    known: str
    paths: Iterable[Path]


class Life:
    """A project's life in dev, its canaries by `kind: name`, and the places where it leaves something."""

    def __init__(self, project: Project, folder: Path) -> None:
        self.project, self.root, self.folder = project, project.clone.repo.root, folder
        self.dev = Environment(project.clone, "dev", project.url("dev"), project.sandbox.log)
        self.mark = f"planted for {project.name}"
        self.phone = f"+49151{secrets.randbelow(10**8):08}"
        self.mail = f"canary-{secrets.token_hex(8)}@example.com"
        self.body = f'canary "%&= {secrets.token_urlsafe()}'
        self.canaries = {f"{PERSONAL}: phone": self.phone[1:], f"{PERSONAL}: mail": self.mail}
        self.canaries[f"{PERSONAL}: body"] = self.body
        self.sent = load.Sent()
        (folder / "seen").mkdir()

    def live(self) -> None:
        """Seal, ask the gates, build, deploy, send, crash, go on, roll back, rotate."""
        project = self.project
        checkouts.named(self.root)
        project.inv("set", "--env=dev", "--key=SMTP_PASSWORD", text=f"canary %$#= {secrets.token_urlsafe()}")
        self.plant()
        self.know("at first")
        for gate in ("sealing", "leaks", "parity"):
            argv = [sys.executable, "-m", f"ci.gates.{gate}"]
            done = subprocess.run(
                argv, cwd=self.root, env=project.clone.environ(), capture_output=True, check=False
            )
            project.clone.printed.extend(done.stdout + done.stderr)
            assert 0 == done.returncode, done.stdout
        project.build()
        project.inv("deploy", "--env=dev")
        sha = project.sha("dev")
        with load.messages(
            project.url("dev"), project.token("dev"), 5, to=self.phone, body=self.body
        ) as self.sent:
            self.fail()
            project.tweak("dev")
            kills.deploy(self.root, "dev", sha, "apply", project.clone.environ())
            self.keep("after the crash of a deploy")
            project.inv("deploy", "--env=dev", f"--sha={sha}")
            project.inv("rollback", "--env=dev")
            kills.rotation(project.clone, "dev", SMS, BEHIND[2])
            self.keep("after the crash of a rotation")
            self.dev.rotate(SMS, "--yes", "--commit")
            self.dev.rotate(DATABASE, "--yes", "--commit")
        self.know("rotated")
        services.until(lambda: set(self.sent.accepted) <= project.arrived(), 60)
        for verb in ("status", "history", "drift"):
            project.inv(verb, "--env=dev")

    def plant(self) -> None:
        """Put what must be found into the code, packed, and into an object that no commit reaches."""
        (self.root / "app/planted.gz").write_bytes(gzip.compress(self.mark.encode()))
        (self.project.clone.temp / "planted").write_text(self.mark)
        values = self.project.read("config/dev.env")  # in which one phone gets all there is
        self.project.write("config/dev.env", re.sub("(RECIPIENT_PER_HOUR=).*", r"\g<1>100000", values))
        unreachable = gzip.compress(f"{self.mark}, unreachable".encode())
        words = ["git", "hash-object", "-w", "--stdin"]
        subprocess.run(words, cwd=self.root, input=unreachable, check=True, capture_output=True)
        self.project.commit("something planted")
        checkouts.git(self.root, "gc", "-q", "--prune=never")

    def know(self, when: str) -> None:
        """Take note of every secret and identity of now."""
        for name in swarms.ENVIRONMENTS:
            values, _ = dotenv.parse(self.project.inv("decrypt", f"--env={name}").encode())
            parts = sweeps.secret_parts(values).items()
            self.canaries |= {f"{SECRET}: {name} {key} {when}": value for key, value in parts}
        for path in self.project.clone.home.rglob("*.agekey"):
            lines = [line for line in path.read_text().splitlines() if line.startswith("AGE-SECRET-KEY-")]
            self.canaries |= {f"{IDENTITY}: {path.name}": line for line in lines}

    def fail(self) -> None:
        """Have messages and requests fail, for errors tell more than successes do; and a container crash."""
        with self.project.sandbox.client() as client:
            client.post("/v1/faults", json={"status": 503, "count": 5}).raise_for_status()
        headers = {"Authorization": f"Bearer {self.project.token('dev')}"}
        with httpx.Client(base_url=self.project.url("dev"), headers=headers, trust_env=False) as client:
            mail = {"channel": "email", "to": self.mail, "subject": self.body, "body": self.body}
            answers = [client.post("/v1/notifications", json=mail)]  # there is no mail server
            answers.append(client.post("/v1/notifications", json=mail | {"to": f"{self.mail} {self.phone}"}))
            answers.append(client.post("/v1/notifications", json=mail, headers={"Authorization": "Bearer none"}))
        assert [202, 422, 401] == [answer.status_code for answer in answers]
        self.containers("worker")[0].kill()

    def keep(self, when: str) -> None:
        """Copy what is on disk in the midst of it: the next command takes it away."""
        for name in ("clone", "home", "temp"):
            found = [path for path in sweeps.files(self.root.parent / name) if ".git" not in path.parts]
            with (self.folder / "seen" / f"{name} {when}").open("wb") as file:
                for path in found:
                    file.write(path.read_bytes() + b"\n")
                    sweeps.unpack(path.read_bytes(), file)

    def containers(self, service: str = "") -> list[Any]:
        """Return what runs."""
        labels = [f"lockstep.project={self.project.name}", *([f"lockstep.service={service}"] if service else [])]
        client: Any = docker.from_env()
        return list(client.containers.list(filters={"label": labels}, ignore_removed=True))

    def places(self) -> dict[str, Place]:
        """Return everything that there is to search."""
        return self.on_disk() | self.taken() | self.told()

    def on_disk(self) -> dict[str, Place]:
        """Return what lies in files."""
        project, seen, client = self.project, self.folder / "seen", docker.from_env()
        home, temp, clone = (
            [*sweeps.files(self.root.parent / one), *seen.glob(f"{one} after *")]
            for one in ("home", "temp", "clone")
        )
        engine = Path(client.info()["DockerRootDir"])
        return {
            "home": Place("public key", home),
            "temp": Place(self.mark, temp),
            "clone": Place(project.name, clone),
            "engine, on disk": Place(project.name, sweeps.files(engine)),
            "database, on disk": Place(
                "notifications", sweeps.files(servers.postgres_folder(self.folder / "postgres/data"))
            ),
            "database's log": Place("ready to accept connections", [self.folder / "postgres/log"]),
            "redis, on disk": Place(self.mark, self.redis()),
            "redis' settings": Place("requirepass", [self.folder / "redis/redis.conf"]),
            "provider's keys": Place("sha256", [project.sandbox.state]),
            "provider's log": Place(self.message, [project.sandbox.log]),
        }

    def taken(self) -> dict[str, Place]:
        """Return what is packed, or asked of git, the engine and the database, and written into a file each."""
        image = f"{self.project.name}:{self.project.sha('dev')}"
        return {
            "all three, unpacked": Place(self.mark, self.written("unpacked", self.unpack)),
            "git": Place(
                f"{self.mark}, unreachable", self.written("git", lambda to: sweeps.unpack_git(self.root, to))
            ),
            "image": Place(self.mark, self.written("image", lambda to: sweeps.unpack_image(image, to))),
            "engine, asked": Place(self.project.name, self.written("engine", self.inspect)),
            "database, dumped": Place(self.message, self.written("dump", self.dump)),
        }

    def told(self) -> dict[str, Place]:
        """Return what the commands, the services and their metrics say."""
        printed, logs = self.project.clone.printed, self.project.inv("logs", "--env=dev")
        inbox = self.project.sandbox.get("/inbox.json").raise_for_status().content
        found = {
            "printed": Place("deployed", self.written("printed", lambda to: to.write(printed))),
            "provider's inbox": Place(self.message, self.written("inbox", lambda to: to.write(inbox))),
            "logs": Place('"request_id"', self.written("logs", lambda to: to.write(logs.encode()))),
        }
        for name, (service, url, metric) in METRICS.items():
            program = f"import urllib.request as r; print(r.urlopen('{url}/metrics').read().decode())"
            argv = ["python", "-c", program.replace("PROXY", self.project.service("dev", "proxy").name)]
            text = self.containers(service)[0].exec_run(argv).output
            path = self.folder / "seen" / f"metrics of {name}"
            path.write_bytes(text)
            found[path.name] = Place(metric, [path])
        return found

    def unpack(self, to: IO[bytes]) -> None:
        """Write what the archives in the folders of the run hold."""
        for path in sweeps.files(self.project.clone.home, self.project.clone.temp, self.root):
            sweeps.unpack(path.read_bytes(), to)

    @property
    def message(self) -> str:
        """The id of the last message."""
        return self.sent.accepted[-1]

    def written(self, name: str, write: Callable[[IO[bytes]], object]) -> list[Path]:
        """Have something written into a file, and return that."""
        path = self.folder / "seen" / name
        with path.open("wb") as file:
            write(file)
        return [path]

    def inspect(self, to: IO[bytes]) -> None:
        """Write all that the engine says of what is ours, and the argv and environment of every process."""
        client: Any = docker.from_env().api
        wanted = {"label": f"lockstep.project={self.project.name}"}
        asked = (client.services, client.tasks, client.secrets, client.configs, client.networks)
        to.writelines(json.dumps(ask(filters=wanted)).encode() for ask in asked)
        to.write(json.dumps(client.inspect_image(f"{self.project.name}:{self.project.sha('dev')}")).encode())
        found = self.containers()
        assert {"api", "worker", "proxy"} == {one.labels["lockstep.service"] for one in found}
        for container in found:
            to.write(json.dumps(container.attrs).encode())
            main = Path("/proc", str(container.attrs["State"]["Pid"]))
            to.writelines((main / file).read_bytes() for file in ("environ", "cmdline"))
            for process in (Path("/proc", row[1]) for row in container.top()["Processes"]):
                with suppress(FileNotFoundError, ProcessLookupError):  # a health check that just ended
                    to.writelines((process / file).read_bytes() for file in ("environ", "cmdline"))

    def dump(self, to: IO[bytes]) -> None:
        """Write every row of every table."""
        with psycopg.connect(self.dev.values()[DATABASE]) as connection:
            tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            for (table,) in tables:
                copied = sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(table))
                with connection.cursor().copy(copied) as rows:
                    to.writelines(rows)

    def redis(self) -> list[Path]:
        """Have Redis write all of its keys, uncompressed, and return its files but its settings."""
        with Redis.from_url(self.dev.values()[REDIS]) as client:
            client.set("planted", self.mark)
            client.config_set("rdbcompression", "no")
            client.save()
        folder = self.folder / "redis"
        return [path for path in sweeps.files(folder) if path.name != "redis.conf"]


def test_no_canary_is_where_it_does_not_belong(tmp_path: Path) -> None:
    """Secrets, identities and what people write are found where they belong, and in nothing else that is left."""
    with swarms.alone(tmp_path) as project:
        life = Life(project, tmp_path)
        life.live()
        places = life.places()
        begun = time.monotonic()
        found = {
            name: sweeps.search(place.paths, life.canaries | {KNOWN: place.known})
            for name, place in places.items()
        }

    kinds = {name: {canary.partition(":")[0] for canary in canaries} for name, canaries in found.items()}
    figures.tell(
        f"{len(life.canaries)} canaries, {len(places)} places, searched in {time.monotonic() - begun:.1f} s"
    )
    wrong = {
        name: {canary: sorted(paths)[:3] for canary, paths in canaries.items() if canary != KNOWN}
        for name, canaries in found.items()
        if kinds[name] != {KNOWN} | BELONGS.get(name, set())
    }
    assert {} == wrong, wrong
