"""A product whose servers know nothing of Lockstep loses no request on a swarm, whatever they do with SIGTERM."""

import http.client
import json
import re
import secrets
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import pytest

from ci import cli
from ci.delivery import deploy, engines, image
from ci.delivery.deploy import Options
from ci.delivery.release import current
from ci.ground import git, ports
from ci.ground.repo import Repo
from ci.sealing import init
from tests import checkouts, figures
from tests.load import LONG

pytestmark = pytest.mark.engine
PRODUCT = Path(__file__).parent / "servers"
ROUNDS = 20 if LONG else 3
NODE = "node.example"
SERVERS = {"gunicorn": ("", ""), "uvicorn": ("/async", ""), "node": ("", NODE)}  # a path and a host of each
PLACES = {"schema.yaml": "config/schema.yaml", "environments.yaml": "config/environments.yaml"}


@dataclass(frozen=True)
class Project:
    """The product in a repository of its own, and the port of its proxy."""

    repo: Repo
    port: int

    @property
    def name(self) -> str:
        """What `inv init` called it."""
        return self.repo.environments.project

    def greet(self, text: str) -> None:
        """Commit another plain value, which every service reads."""
        self.repo.plain("dev").write_text(f"GREETING={text}\nNODE_HOST={NODE}\n")
        checkouts.git(self.repo.root, "add", "-A")
        checkouts.git(self.repo.root, "commit", "-qm", f"greet with {text}")

    def deploy(self) -> None:
        """Deploy the commit whose images were built."""
        cli.follow(deploy.run(Repo(self.repo.root), "dev", Options(sha=self.built, yes=True)))

    def rollback(self) -> None:
        """Go back to the release before."""
        cli.follow(deploy.back(Repo(self.repo.root), "dev", None, why="", yes=True))

    def run(self, reader: str, *words: str) -> tuple[int, list[str]]:
        """Run a job, or a command with a service's environment."""
        with engines.open(self.repo, "dev") as engine:
            release = current(engine.history())
            assert release
            return engine.run(release, reader, words, {})

    @property
    def built(self) -> str:
        """The commit whose images were built."""
        first = git.Git(self.repo.root).attempt("rev-list", "--max-parents=0", "HEAD")
        return first.stdout.decode().strip()

    def ask(self, path: str, host: str = "") -> tuple[int, str]:
        """Return the status and the body of one answer of the proxy."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        connection.request("GET", path, headers={"Host": host} if host else {})
        with closing(connection), connection.getresponse() as answer:
            return answer.status, answer.read().decode()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The product, whose first release runs in dev."""
    folder, port = tmp_path_factory.mktemp("servers"), ports.free()
    client: Any = docker.from_env()
    with checkouts.at_home(folder / "home"):
        made = Project(initialised(folder / "repo", port), port)
        images = [built.tag for built in image.build(made.repo)]
        try:
            made.deploy()
            yield made
        finally:
            with engines.open(made.repo, "dev") as engine, engine.lock():
                engine.stop(purge=True)
            for tag in images:
                client.images.remove(tag, force=True)
    assert [] == client.volumes.list(filters={"label": f"lockstep.project={made.name}"})


def initialised(root: Path, port: int) -> Repo:
    """Return a repository of the product after `inv init`, everything committed."""
    for path in PRODUCT.glob("*"):
        place = root / PLACES.get(path.name, path.name)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    environments = root / PLACES["environments.yaml"]
    environments.write_text(environments.read_text().replace("PORT", str(port)))
    (root / "config/dev.env").write_text(f"GREETING=hello\nNODE_HOST={NODE}\n")
    (root / ".gitignore").write_text("/.local/\n/.tools\n/packages\n")
    checkouts.tools(root)
    shutil.copytree(checkouts.ROOT / "runtime", root / "runtime", ignore=shutil.ignore_patterns("__pycache__"))
    checkouts.generated(root)
    init.init(Repo(root), f"t{secrets.token_hex(3)}", lambda *_: secrets.token_urlsafe())
    checkouts.git(root, "init", "-q", "-b", "main")
    checkouts.git(root, "add", "-A")
    checkouts.git(root, "commit", "-qm", "the product")
    return Repo(root)


@dataclass
class Load:
    """What was asked so far of each server by each kind of client, and what failed."""

    port: int
    asked: dict[str, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, server: str, kind: str, path: str, connection: http.client.HTTPConnection) -> None:
        """Ask once and note how it went; a connection that the proxy closes is opened anew by the next request."""
        fault = ""
        try:
            prefix, host = SERVERS[server]
            connection.request("GET", prefix + path, headers={"Host": host} if host else {})
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != http.HTTPStatus.OK or "greeting" not in json.loads(text):
                fault = f"{answer.status} {text[:200]!r}"
        except (OSError, ValueError, http.client.HTTPException) as error:
            fault = f"{type(error).__name__} {error}"
            connection.close()
        with self.guard:
            self.asked[f"{server} {kind}"] = self.asked.get(f"{server} {kind}", 0) + 1
            if fault:
                self.failed.append(f"{time.time():.2f} {server} {kind}: {fault}")

    def connection(self) -> http.client.HTTPConnection:
        """Return a client of the proxy."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def kept(self, server: str) -> None:
        """Ask by one connection."""
        connection = self.connection()
        while not self.done.wait(0.01):
            self.ask(server, "kept", "/", connection)
        connection.close()

    def fresh(self, server: str) -> None:
        """Ask by a new connection each time."""
        while not self.done.wait(0.01):
            connection = self.connection()
            self.ask(server, "fresh", "/", connection)
            connection.close()

    def slow(self, server: str) -> None:
        """Ask what takes three seconds to answer."""
        connection = self.connection()
        while not self.done.is_set():
            self.ask(server, "slow", "/slow", connection)
        connection.close()


@contextmanager
def load(port: int) -> Iterator[Load]:
    """Ask all servers in three ways for as long as the block runs."""
    made = Load(port)
    kinds: tuple[Callable[[str], None], ...] = (made.kept, made.fresh, made.slow)
    threads = [threading.Thread(target=kind, args=[server]) for kind in kinds for server in SERVERS]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        made.done.set()
        for thread in threads:
            thread.join()


def test_no_request_is_lost_with_any_server(project: Project) -> None:
    """gunicorn, Uvicorn and a server of Node that dies of SIGTERM at once fail no request of any client."""
    with load(project.port) as asked:
        for number in range(ROUNDS):
            project.greet(f"hello {number}")
            project.deploy()
            project.rollback()

    total = sum(asked.asked.values())
    figures.tell(f"any server: {ROUNDS} deploys, {ROUNDS} rollbacks, {total} requests, {len(asked.failed)} failed")
    assert [] == asked.failed
    assert 9 == len(asked.asked)
    assert min(asked.asked.values()) > 3 * ROUNDS


def test_two_of_a_single_service_never_ran(project: Project) -> None:
    """The log that it keeps in a volume has each replica's end before the begin of the next, over all releases."""
    code, lines = project.run("single", "cat", "/srv/kept/log")

    assert 0 == code
    assert ["begin", "end"] * (len(lines) // 2) + ["begin"] == lines
    assert len(lines) > 2


def test_requests_find_their_service(project: Project) -> None:
    """By host and by path; what is private is not found however it is written, and nothing else is hidden."""
    private = ("/metrics", "/metrics/x", "//metrics", "/%6Detrics", "/Metrics", "/metrics;x", "/readyz?x=1")
    upwards = ("/x/../metrics", "/x/%2e%2e/metrics", "/x/..", "/%zz")

    seen = {path: json.loads(project.ask(path)[1]).get("path") for path in ("/x", "/async/metrics", "/metricsx")}

    assert {"/x": "/x", "/async/metrics": "/async/metrics", "/metricsx": "/metricsx"} == seen
    assert "release" in project.ask("/x", NODE)[1]
    assert [200, 200] == [project.ask(path, f"{NODE}:80")[0] for path in ("/metrics", "/%2561")]
    assert [404] * len(private) == [project.ask(path)[0] for path in private]
    assert [400] * len(upwards) == [project.ask(path)[0] for path in upwards]


def test_a_connection_may_become_another_protocol(project: Project) -> None:
    """What is upgraded is passed on both ways, as a WebSocket is."""
    with socket.create_connection(("127.0.0.1", project.port), timeout=10) as connection:
        head = f"GET / HTTP/1.1\r\nHost: {NODE}\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
        connection.sendall(head.encode())
        answer = connection.recv(4096)
        connection.sendall(b"ping")
        echo = connection.recv(4096)

    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"ping" == echo


def test_services_reach_each_other_by_name(project: Project) -> None:
    """`http://NAME:PORT` leads to a service from every other one's environment."""
    program = "import urllib.request as r; print(r.urlopen('http://node:3000/x').read().decode())"

    code, lines = project.run("sync", "python", "-c", program)

    assert 0 == code, lines
    assert '"path":"/x"' in lines[-1]


def test_a_job_says_all_that_it_printed_and_how_it_ended(project: Project) -> None:
    """Its lines are returned to the end, with its exit code; it has the values of the service that it names."""
    code, lines = project.run("talk")
    greeted = project.run("migrate")
    typed = project.run("async", "sh", "-c", 'echo "$1" ${#TOKEN} $PORT', "sh", "it's  $HOME")

    assert (3, [f"line {number}" for number in range(1, 3001)]) == (code, lines)
    assert (0, ["greets with hello"]) == greeted
    assert (0, "it's  $HOME", " 8080") == (typed[0], typed[1][0][:11], typed[1][0][-5:])


def test_nothing_drifts_and_a_change_by_hand_is_named(project: Project) -> None:
    """What the swarm runs is what the release says; a changed health check and another folder are named."""
    with engines.open(project.repo, "dev") as engine:
        before = engine.drift()
        edit = ["--no-healthcheck", "--mount-add", "type=tmpfs,target=/mnt"]
        subprocess.run(["docker", "service", "update", "-d", *edit, f"{project.name}-dev-sync"], check=True)
        after = engine.drift()
    project.greet("hello again")
    project.deploy()

    assert [] == before
    assert ["sync differs in its folders", "sync differs in its health check"] == after
    with engines.open(project.repo, "dev") as engine:
        assert [] == engine.drift()
        assert {"sync": 2, "async": 1, "node": 2, "single": 1, "proxy": 1} == counted(engine)


def counted(engine: engines.Engine) -> Mapping[str, int]:
    """Return how many replicas of each service run and are healthy."""
    names = [replica.service for replica in engine.replicas() if engine.healthy(replica)]
    return {name: names.count(name) for name in names}


def test_each_service_speaks_in_the_log(project: Project) -> None:
    """The lines of a service are found by its name, whatever image it runs in."""
    with engines.open(project.repo, "dev") as engine:
        lines = list(engine.logs("sync", follow=False))

    assert any(re.search(r"sync \| .*Listening at: http://0.0.0.0:8000", line) for line in lines)
