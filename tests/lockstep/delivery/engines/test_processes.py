"""The engine `processes`, with real processes: how services fare when deploys fail, are killed, or change them."""

import http.client
import os
import secrets
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from ci import cli
from ci.delivery import deploy, engines, oneoff
from ci.delivery.deploy import Deploy, Options
from ci.delivery.engines import Replica
from ci.delivery.engines.processes import engine as processes_engine
from ci.delivery.engines.processes.engine import Processes
from ci.delivery.oneoff import Reader
from ci.ground import errors, ports
from ci.ground.repo import Repo
from ci.sealing import edit
from tests import checkouts
from tests.lockstep.delivery.engines import backends

WEB = """
import http.server, json, sys, time
port, release = map(int, sys.argv[1:])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/slow":
            time.sleep(3)
        body = json.dumps({"release": release}).encode()
        self.send_response(307 if self.path == "/moved" else 500 if self.path == "/never" else 200)
        self.send_header("content-length", len(body))
        self.end_headers()
        self.wfile.write(body)
    do_POST = do_GET
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
SERVICE = {
    "command": "python -m web {port} {release}",
    "port": 8000,
    "public": {},
    "health": {"ready": "/readyz", "version": "/version"},
    "drain_seconds": 8,
}


@dataclass(frozen=True)
class Project:
    """A product of one public service, `web`, and the public port of its environment `local`."""

    root: Path
    port: int

    @property
    def repo(self) -> Repo:
        """The checkout as it is now."""
        return Repo(self.root)

    @property
    def engine(self) -> Processes:
        """The engine of the environment."""
        engine = engines.open(self.repo, "local")
        assert isinstance(engine, Processes)
        return engine

    def declare(self, **parts: Any) -> None:
        """Write a schema."""
        text = yaml.safe_dump({"keys": {}, "services": {"web": SERVICE}, **parts})
        (self.root / "config/schema.yaml").write_text(text)
        checkouts.generated(self.root)

    def web(self, **changed: Any) -> None:
        """Write a schema with the service `web` alone, a part of it changed."""
        self.declare(services={"web": SERVICE | changed})

    def beside(self, **other: Any) -> None:
        """Write a schema with a service `other` beside `web`."""
        self.declare(services={"web": SERVICE, "other": other})

    def about(self, name: str = "local", **about: Any) -> None:
        """Change what environments.yaml says of an environment."""
        path = self.root / "config/environments.yaml"
        document = yaml.safe_load(path.read_bytes())
        document["environments"].setdefault(name, {"engine": "processes"}).update(about)
        path.write_text(yaml.safe_dump(document))

    def deploy(self) -> Deploy:
        """Deploy the working tree."""
        return cli.follow(deploy.run(self.repo, "local", Options()))

    def fails(self) -> None:
        """Deploy what cannot start."""
        with pytest.raises(errors.StartError):
            self.deploy()

    def replicas(self, service: str = "web") -> list[Replica]:
        """Return what runs of a service."""
        return [replica for replica in self.engine.replicas() if replica.service == service]

    def running(self, *command: str) -> list[psutil.Process]:
        """Return the processes of a command in the checkout, however they were started."""
        every = psutil.process_iter(["cmdline", "cwd"])
        return [one for one in every if (one.info["cmdline"], one.info["cwd"]) == ([*command], str(self.root))]

    def ask(self, path: str = "/version", method: str = "GET") -> tuple[int, bytes]:
        """Return how the proxy answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        connection.request(method, path)
        with closing(connection), connection.getresponse() as answer:
            return answer.status, answer.read()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """The product, which is not deployed yet; what it started is stopped at the end."""
    root, port = tmp_path / "a product", ports.free()
    (root / "config").mkdir(parents=True)
    (root / "web.py").write_text(WEB)
    about = {"engine": "processes", "in_git": False, "processes": {"ports": {"web": port}}}
    document = {"project": "lockstep-template", "environments": {"local": about}}
    (root / "config/environments.yaml").write_text(yaml.safe_dump(document))
    (root / "config/local.env").write_text("")
    (root / ".gitignore").write_text("/.local/\n/.tools\n")
    checkouts.tools(root)
    for name in checkouts.tracked("runtime"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes((checkouts.ROOT / name).read_bytes())
    (root / "ci").symlink_to(checkouts.ROOT / "ci")  # the proxy's module
    made = Project(root, port)
    made.declare()
    checkouts.git(root, "init", "-q", "-b", "main")
    checkouts.git(root, "add", "-A")
    checkouts.git(root, "commit", "-qm", "the product")
    try:
        yield made
    finally:
        made.declare()
        made.engine.stop(purge=True)


BROKEN = "python -m web {port} none"
FIRST = (200, b'{"release": 1}')
SLEEP = ("sleep", "1234")  # knows nothing of Lockstep, has no port, and is executed


def interrupted(project: Project, last: Callable[..., Any]) -> None:
    """Do the steps of a deploy up to one and none after it, as when it is killed."""
    with project.engine as engine:
        make = deploy.forward(project.repo, "local", engine, Options())
        made = Deploy(project.repo, "local", make, yes=True, engine=engine)
        names = [step.__name__ for step in deploy.STEPS]
        steps = deploy.STEPS[: names.index(last.__name__) + 1]
        cli.follow(deploy._walk(steps, made))


@pytest.mark.parametrize(
    "command", [SLEEP, ("sh", "-c", f"{' '.join(SLEEP)}; true")], ids=["executed", "by a shell"]
)
def test_a_program_without_a_port_is_found_again(project: Project, command: tuple[str, ...]) -> None:
    """It is replaced by the next deploy and stopped with the environment, and so is what it started."""
    project.beside(command=list(command), single=True)
    project.deploy()
    project.deploy()
    running = len(project.running(*SLEEP))
    project.engine.stop(purge=False)

    assert 1 == running
    assert [] == project.running(*SLEEP)


def test_a_job_of_a_killed_deploy_is_ended(project: Project) -> None:
    """A migration that runs on after its deploy was killed does not run beside that of the next deploy."""
    project.declare(jobs={"migrate": {"command": list(SLEEP), "keys": "web"}})
    killed = os.fork()
    if not killed:
        os.setsid()
        with suppress(BaseException):
            project.deploy()
        os._exit(1)
    backends.wait(lambda: project.running(*SLEEP))
    os.kill(killed, signal.SIGKILL)
    os.waitpid(killed, 0)
    project.declare()
    project.deploy()

    assert [] == project.running(*SLEEP)


def test_the_proxy_leads_to_no_release_of_a_killed_deploy(project: Project) -> None:
    """When a deploy was killed before its record, the next one leads back before it ends that release."""
    project.deploy()
    interrupted(project, deploy.wait)
    interrupted(project, deploy.prepare)

    assert FIRST == project.ask()
    assert [1] == [replica.release for replica in project.replicas()]


def test_each_release_drains_for_as_long_as_it_says(project: Project) -> None:
    """A request of the old release is answered, though the new one drains for a shorter time."""
    project.deploy()
    project.web(drain_seconds=0)
    answers: list[tuple[int, bytes]] = []
    client = threading.Thread(target=lambda: answers.append(project.ask("/slow", "POST")))
    client.start()
    backends.wait(lambda: psutil.Process(project.replicas()[0].pid).children()[0].net_connections()[1:])
    project.deploy()
    client.join()

    assert [FIRST] == answers


def test_a_single_service_runs_again_after_a_failure(project: Project) -> None:
    """The old release is restored, also when nothing else of it runs."""
    project.web(single=True)
    project.deploy()
    project.web(single=True, command=BROKEN)
    project.fails()

    assert FIRST == project.ask()
    assert [1] == [replica.release for replica in project.replicas()]


def test_a_service_that_the_schema_no_longer_has(project: Project) -> None:
    """A command can be run beside it, and a deploy that fails starts it again."""
    project.beside(command=list(SLEEP), single=True)
    project.deploy()
    (other,) = project.replicas("other")
    project.web(command=BROKEN)
    ran = oneoff.run(project.repo, "local", Reader(service="other"), ["echo", "hello"])
    os.kill(other.pid, signal.SIGTERM)
    backends.wait(lambda: not project.replicas("other"))
    project.fails()

    assert (0, ["hello"]) == ran
    assert FIRST == project.ask()
    assert 1 == len(project.replicas("other"))


def test_a_failure_leaves_the_old_public_service(project: Project) -> None:
    """The proxy serves the old release until one that has no public service is recorded, and no longer."""
    project.deploy()
    project.about(processes={})
    hidden = {"command": "false", "port": 8000}
    project.declare(services={"web": hidden})
    project.fails()
    answer = project.ask()
    project.declare(services={"web": hidden | {"command": SERVICE["command"]}})
    project.deploy()

    assert FIRST == answer
    with pytest.raises(ConnectionRefusedError):
        project.ask()


def test_what_runs_once_is_no_replica(project: Project) -> None:
    """A command with a service's keys is not taken for the service."""
    project.deploy()
    words = ["sh", "-c", "sleep 4321; true"]
    thread = threading.Thread(target=oneoff.run, args=(project.repo, "local", Reader(service="web"), words))
    thread.start()
    backends.wait(lambda: project.running("sleep", "4321"))
    replicas = project.replicas()
    project.engine.stop(purge=False)
    thread.join()

    assert 1 == len(replicas)
    assert [] == project.running("sleep", "4321")


def test_a_health_command_that_hangs(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is killed with what it started, and counts as a service that is not ready."""
    monkeypatch.setattr(processes_engine, "PATIENCE_SECONDS", 1)
    monkeypatch.setattr(processes_engine, "HEALTH_SECONDS", 1)
    project.web(command="sh -c 'exec python -m web $0 $1' {port} {release}", health={"command": ["sleep", "4321"]})
    project.fails()

    assert [] == project.running("sleep", "4321")


def test_a_path_of_health_may_redirect(project: Project) -> None:
    """As a framework does that adds a slash: whatever it leads to, the service answers."""
    project.web(health="/moved")

    assert "healthy" == project.deploy().release.result


def test_a_service_says_how_long_it_may_take(project: Project) -> None:
    """One that is not ready by then has failed."""
    project.web(health="/never", start_seconds=1)

    with pytest.raises(errors.StartError, match="web was not ready within 1 s"):
        project.deploy()


def test_a_health_command_knows_the_port(project: Project) -> None:
    """It is filled in, and in the environment, as for the service itself."""
    command = ["sh", "-c", 'test "$PORT" = "$0" && test "$PORT" -gt 8000', "{port}"]
    project.web(health={"command": command, "version": "/version"})
    project.deploy()

    assert FIRST == project.ask()


def test_releases_of_another_version_can_be_purged(project: Project) -> None:
    """What the error advises works, and leaves nothing."""
    project.deploy()
    path = project.repo.state_of("local") / "releases.json"
    path.write_text(path.read_text().replace('"format": 3', '"format": 2'))

    with pytest.raises(errors.FormatError, match="format 2"):
        project.deploy()
    project.engine.stop(purge=True)

    assert [] == project.replicas()
    assert not path.exists()


def test_a_value_that_is_no_port(project: Project) -> None:
    """A port that cannot be is told as such."""
    meta = {"services": ["web"], "description": "its port", "example": "8000"}
    project.declare(keys={"WHERE": {"type": "integer", "meta": meta}})
    project.about(processes={"ports": {"web": "WHERE"}})
    (project.root / "config/local.env").write_text("WHERE=70000\n")

    with pytest.raises(errors.ConfigurationError, match="the port of web is WHERE, which names none"):
        project.deploy()


def test_a_secret_of_a_service_elsewhere(project: Project) -> None:
    """It is neither made nor asked for here, and does no harm when it is there."""
    project.about("prod", in_git=False)
    meta = {"secret": True, "services": ["other"], "description": "a secret", "example": "TOKEN"}
    other = {"command": list(SLEEP), "environments": ["prod"]}
    services = {"web": SERVICE, "other": other}
    project.declare(services=services, keys={"TOKEN": {"type": "string", "meta": meta}})
    project.deploy()
    edit.put(project.repo, "local", "TOKEN", secrets.token_urlsafe())
    project.deploy()

    assert [2] == [replica.release for replica in project.replicas()]


def test_a_host_that_is_a_default(project: Project) -> None:
    """The default of a key is the host of an environment that has no value of its own."""
    meta = {"services": ["web"], "description": "the host", "example": "shop.example"}
    project.declare(
        services={"web": SERVICE | {"public": {"host": "{HOST}"}}},
        keys={"HOST": {"type": "string", "default": "localhost", "meta": meta}},
    )

    assert {"web": f"http://localhost:{project.port}"} == project.deploy().urls
