"""Several Docker nodes on one machine: each a dockerd with network, mounts, processes and a host name of its own.

All of a node lives in its namespaces, whose first process takes the rest with it when it is killed, as a power cut
would. One more network namespace is the switch between the nodes and this machine, which gets one link and no rule
of iptables. If the tests were killed there would stay the nodes' data and their containers' empty control groups.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import psutil
from docker.errors import APIError
from requests.exceptions import RequestException

from tests import engines, services, swarms

PROGRAMS = ("dockerd", "docker-init", "ip", "iptables", "nsenter", "setpriv", "unshare")
API = "1.41"  # of Docker 20.10; to ask for it would take another request each time
CGROUPS = Path("/sys/fs/cgroup")
# Until a node has its link, nothing of it can be seen from outside; init reaps what containers leave.
BOOT = """
set -eu
echo "$NAME" >/proc/sys/kernel/hostname
mount -t tmpfs tmpfs /run
mkdir /run/sys
mount -t sysfs sysfs /run/sys
mount --rbind /sys/fs/cgroup /run/sys/fs/cgroup
mount --move /run/sys /sys
until ip link set dev eth0 up 2>/dev/null; do sleep 0.05; done
ip link set dev lo up
ip address add "$ADDRESS/24" dev eth0
exec docker-init -- dockerd --config-file "$SETTINGS"
"""


@dataclass
class Namespaces:
    """A process in namespaces of its own; it, and all that it started, ends when it is closed or we are killed."""

    argv: Sequence[str]
    log: Path
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kinds = ["--net", "--mount", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "unshare", *kinds, *self.argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | self.environ,
            )
        services.until(self._apart)

    def _apart(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return Path(f"/proc/{self.process.pid}/ns/net").stat() != Path("/proc/self/ns/net").stat()

    def ip(self, *words: str) -> None:
        """Run `ip` in this network."""
        call("nsenter", "--net", "--target", str(self.process.pid), "ip", *words)

    def close(self) -> None:
        """Kill it; when this returns, nothing of it runs any more."""
        inside = psutil.Process(self.process.pid).children() if self.process.poll() is None else []
        self.process.kill()
        self.process.wait()
        psutil.wait_procs(inside)


@dataclass(eq=False)
class Node:
    """One node of the swarm; `address` is where this machine and the others reach it."""

    name: str
    address: str
    folder: Path
    switch: Namespaces
    runs: Namespaces | None = None

    @property
    def docker(self) -> str:
        """Where its engine answers this machine."""
        return f"unix://{self.folder}/docker.sock"

    @contextmanager
    def client(self, timeout: int = 60) -> Iterator[Any]:
        """Give a client of its engine."""
        with closing(docker.DockerClient(base_url=self.docker, timeout=timeout, version=API)) as client:
            yield client

    def start(self) -> None:
        """Switch the node on, with the disk that it had."""
        environ = {"NAME": self.name, "ADDRESS": self.address, "SETTINGS": str(self.folder / "daemon.json")}
        self.runs = Namespaces(["sh", "-c", BOOT], self.folder / "log", environ)
        self.switch.ip(
            "link",
            "add",
            "name",
            self.name,
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            str(self.runs.process.pid),
        )
        self.switch.ip("link", "set", "dev", self.name, "master", "bridge0", "up")
        services.until(self._listens, 60)
        with self.client() as client:
            client.ping()

    def _listens(self) -> bool:
        assert self.runs
        assert self.runs.process.poll() is None, "\n".join(self.runs.log.read_text().splitlines()[-20:])
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(self.docker.removeprefix("unix://")) == 0

    def lose(self) -> None:
        """Cut it off in the middle of whatever it does: first its cable, so that nobody hears it die."""
        assert self.runs
        self.switch.ip("link", "delete", "dev", self.name)
        self.runs.close()
        self.runs = None

    def close(self) -> None:
        """Switch it off, if it is on."""
        if self.runs:
            self.runs.close()


@contextmanager
def switch(folder: Path, host: str, link: str) -> Iterator[Namespaces]:
    """Make the network that connects the nodes with each other and, at the address `host`, with this machine."""
    made = Namespaces(["sleep", "infinity"], folder / "switch.log")
    try:
        made.ip("link", "add", "name", "bridge0", "type", "bridge")
        made.ip("link", "set", "dev", "bridge0", "up")
        made.ip("link", "add", "name", "host0", "type", "veth", "peer", "name", link, "netns", str(os.getpid()))
        made.ip("link", "set", "dev", "host0", "master", "bridge0", "up")
        call("ip", "address", "add", f"{host}/24", "dev", link)
        call("ip", "link", "set", "dev", link, "up")
        yield made
    finally:
        made.close()
        services.until(lambda: link not in psutil.net_if_addrs())  # the kernel takes it away in its own time


def call(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, check=False)
    assert 0 == done.returncode, f"{' '.join(argv)}: {done.stderr.decode()}"


@dataclass
class Swarm:
    """Nodes that are all managers; `host` is this machine's address to them.

    `registry` is what the nodes call their registry, `push` what this machine's engine calls it.
    """

    nodes: list[Node]
    host: str
    registry: str
    push: str

    def leader(self, asked: Node) -> Node | None:
        """Return the leader, as one of the nodes knows it; None while there is none."""
        names = [one["Description"]["Hostname"] for one in members(asked) if one["ManagerStatus"].get("Leader")]
        return next((node for node in self.nodes if [node.name] == names), None)

    def agreed(self) -> bool:
        """Say whether all managers that are on follow one leader, to which they are ready.

        One that comes back may call an election before the leader has found it again, as the swarm's Raft knows no
        PreVote; then there is no leader for half a minute, and the nodes have to find the next.
        """
        on = [node for node in self.nodes if node.runs]
        leaders = {self.leader(node) for node in on}
        return len(leaders) == 1 and all(state(on[0], node) == "ready" for node in on)

    def others(self, *those: Node | None) -> list[Node]:
        """Return all nodes but those."""
        return [node for node in self.nodes if node not in those]

    def publish(self, image: str) -> str:
        """Push an image of this machine's engine, and return what the nodes call it."""
        name, _, tag = image.partition(":")
        with closing(engines.client()) as engine:
            assert engine.images.get(image).tag(f"{self.push}/{name}", tag)
            said = list(engine.images.push(f"{self.push}/{name}", tag, stream=True, decode=True))
        assert not [step for step in said if "error" in step], said
        return f"{self.registry}/{image}"


def members(asked: Node) -> list[dict[str, Any]]:
    """Return what a manager knows of all nodes; nothing while there is no leader, or none that answers."""
    with asked.client(timeout=2) as client:
        try:
            return [node.attrs for node in client.nodes.list()]
        except (APIError, RequestException):
            return []


def state(asked: Node, node: Node) -> str:
    """Return what the swarm, for which a manager speaks, takes a node for: ready, down, unknown."""
    states = {one["Description"]["Hostname"]: one["Status"]["State"] for one in members(asked)}
    return str(states.get(node.name, "unknown"))


def placed(asked: Node, service: str) -> list[str]:
    """Return the nodes that a service's ready replicas are on, in order; nothing while there is no leader."""
    names = {one["ID"]: str(one["Description"]["Hostname"]) for one in members(asked)}
    with asked.client(timeout=2) as client:
        try:
            tasks = client.api.tasks(filters={"service": [service], "desired-state": ["running"]})
        except (APIError, RequestException):
            return []
    return sorted(names.get(one["NodeID"], "") for one in tasks if one["Status"]["State"] == "running")


@contextmanager
def swarm(folder: Path, names: Sequence[str] = ("node1", "node2", "node3")) -> Iterator[Swarm]:
    """Start a swarm, its registry and its switch; at the end, however that comes, nothing of them is left."""
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    assert not missing, f"{', '.join(missing)} not found: .ci/engine installs docker.io, iproute2 and iptables"
    assert os.geteuid() == 0, "only root can make network namespaces"
    token, net = secrets.token_hex(3), f"198.18.{secrets.randbelow(256)}"  # RFC 2544: nobody's addresses
    with ExitStack() as stack:
        host = f"{net}.1"
        cable = stack.enter_context(switch(folder, host, f"ls{token}"))
        (folder / "registry").mkdir()
        push = stack.enter_context(engines.registry(folder / "registry"))
        stack.callback(_forget, push)
        registry = ":".join(map(str, stack.enter_context(swarms.reachable(f"http://{push}", host))))
        made = [Node(name, f"{net}.{10 + number}", folder / name, cable) for number, name in enumerate(names)]
        stack.callback(_sweep, f"lockstep-{token}")
        for node in made:
            _prepare(node, registry, f"lockstep-{token}")
            stack.callback(shutil.rmtree, node.folder / "data", ignore_errors=True)
            stack.callback(node.close)
            node.start()
        _join(made)
        yield Swarm(made, host, registry, push)


def _prepare(node: Node, registry: str, cgroup: str) -> None:
    node.folder.mkdir()
    settings = {
        "hosts": [node.docker],
        "data-root": str(node.folder / "data"),
        "insecure-registries": [registry],
        "cgroup-parent": f"/{cgroup}",
    }
    (node.folder / "daemon.json").write_text(json.dumps(settings))


def _join(made: Sequence[Node]) -> None:
    first, *rest = made
    with first.client() as client:
        client.swarm.init(advertise_addr=first.address)
        client.swarm.reload()
        token = client.swarm.attrs["JoinTokens"]["Manager"]
    for node in rest:
        with node.client() as client:
            client.swarm.join([first.address], token, advertise_addr=node.address)


def _forget(push: str) -> None:
    """Take the names that lead to the registry from the images of this machine's engine."""
    with closing(engines.client()) as engine:
        for image in engine.images.list():
            for tag in [tag for tag in image.tags if tag.startswith(f"{push}/")]:
                engine.images.remove(tag)


def _sweep(cgroup: str) -> None:
    """Remove the control groups of the containers; the kernel keeps them, empty as they are."""
    for top in [CGROUPS / cgroup, *CGROUPS.glob(f"*/{cgroup}")]:
        for parent, _, _ in os.walk(top, topdown=False):
            Path(parent).rmdir()
