"""Three managers on one machine: a deploy, a node, the leader, the majority lost; the requests that fail counted.

A node is lost as by a power cut: its network goes silent, then all that runs on it is killed. What may fail is
what was in flight there: one request of each client at most. A later one waits in vain for a connection, and goes
to another replica.
"""

import itertools
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci.ground import errors
from tests import figures, load, nodes, swarms
from tests.load import Load
from tests.nodes import Node, Swarm
from tests.swarms import Project

pytestmark = pytest.mark.engine

REPLICAS = {"api": 3, "worker": 2}
CLIENTS = 3  # each of the load has one request in flight
PATIENCE_SECONDS = 240  # others may be at work on this machine


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    """Three managers."""
    with nodes.swarm(tmp_path_factory.mktemp("nodes")) as made:
        yield made


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory, swarm: Swarm, postgres_url: str, redis_url: str
) -> Iterator[Project]:
    """A project whose image the nodes get from their registry, and whose first release runs in dev."""
    with swarms.project(tmp_path_factory.mktemp("project"), postgres_url, redis_url, swarm.host) as made:
        proxy = {"port": made.ports["dev"], "image": swarm.publish("haproxy:2.6-bookworm")}
        top = {"registry": f"{swarm.registry}/{made.name}"}
        configure(made, swarm.nodes[0], top, {"proxy": proxy}, replicas=REPLICAS)
        made.commit("three nodes")
        made.build(f"--push={swarm.push}/{made.name}")
        made.inv("deploy", "--env=dev")
        yield made


def configure(
    project: Project,
    manager: Node,
    top: dict[str, str] | None = None,
    settings: dict[str, Any] | None = None,
    **about: Any,
) -> None:
    """Write down by which manager the environments are reached, and what else is given; an empty proxy is none."""
    path = "config/environments.yaml"
    document = yaml.safe_load(project.read(path)) | (top or {})
    for name in swarms.ENVIRONMENTS:  # copies, or what is the same would be written as aliases
        environment = document["environments"][name] | deepcopy(about)
        swarm = environment["swarm"] | {"docker": manager.docker, "address": manager.address} | (settings or {})
        environment["swarm"] = {key: deepcopy(value) for key, value in swarm.items() if value}
        document["environments"][name] = environment
    project.write(path, yaml.safe_dump(document, sort_keys=False))


def url(project: Project, node: Node) -> str:
    return f"http://{node.address}:{project.ports['dev']}"


def names(swarm: Swarm) -> list[str]:
    return [node.name for node in swarm.nodes]


def everywhere(project: Project, swarm: Swarm, number: int) -> float:
    """Return the seconds until the proxy of each node answers with a release; the deploy asked one node."""
    proxies = [url(project, node) for node in swarm.nodes]
    return seconds(time.time(), lambda: {swarms.version(proxy)["release"] for proxy in proxies} == {number})


def image(project: Project, node: Node) -> str:
    """Return the commit that the one image was built of, as the proxy of a node says."""
    return str(swarms.version(url(project, node))["sha"])


def deploy(project: Project, manager: Node) -> int:
    """Deploy another value through a manager, and return the number of the release that its proxy answers with."""
    configure(project, manager)
    project.tweak("dev")
    project.inv("deploy", "--env=dev", f"--sha={image(project, manager)}")
    return int(swarms.version(url(project, manager))["release"])


def applied(project: Project, sha: str) -> subprocess.Popen[str]:
    """Begin a deploy, and return it when the swarm is at work on the release."""
    process = subprocess.Popen(
        [sys.executable, "-m", "invoke", "deploy", "--env=dev", f"--sha={sha}"],
        cwd=project.clone.repo.root,
        env=project.clone.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    said = list(itertools.takewhile(lambda line: " apply " not in line, process.stdout))
    assert process.poll() is None, "".join(said)
    return process


def placed(project: Project, asked: Node) -> dict[str, list[str]]:
    """Return the nodes that the ready replicas of each service are on."""
    return {one: nodes.placed(asked, f"{project.name}-dev-{one}") for one in (*REPLICAS, "proxy")}


def whole(project: Project, asked: Node, lost: Node) -> bool:
    """Say whether every replica that there should be runs, and none of them on a lost node."""
    found = placed(project, asked)
    return all(len(found[one]) == count and lost.name not in found[one] for one, count in REPLICAS.items())


def seconds(since: float, condition: Callable[[], bool]) -> float:
    """Wait for something, and return how long after a moment it came."""
    while not condition():
        assert time.time() - since < PATIENCE_SECONDS, "waited in vain"
        time.sleep(0.2)
    return time.time() - since


def say(what: str, asked: Load, since: float = 0, **after: float) -> None:
    """Print the figures that a story is for."""
    times = "".join(f", {one} after {number:.1f} s" for one, number in after.items())
    failed = [one.partition(" ") for one in asked.failed]
    when = "".join(f", {kind} at {float(moment) - since:.1f} s" for moment, _, kind in failed)
    figures.tell(f"{what}: {asked.asked} requests, {len(asked.failed)} failed{when}{times}")


def test_a_deploy_reaches_every_node(project: Project, swarm: Swarm) -> None:
    """One image runs on every node, each proxy leads to all replicas, and the next release costs no request."""
    manager, *_ = swarm.nodes
    before = placed(project, manager)
    ids = set()
    for node in swarm.nodes:
        with node.client() as client:
            found = client.containers.list(filters={"label": "lockstep.release"})
            ids |= {one.image.id for one in found}

    with load.upon(url(project, manager)) as asked:
        number = deploy(project, manager)

    say("a deploy", asked, everywhere=everywhere(project, swarm, number))
    assert names(swarm) == before["api"]
    assert 1 == len(ids)
    assert [] == asked.failed
    assert asked.asked > 500


def test_a_node_is_lost(project: Project, swarm: Swarm) -> None:
    """The swarm replaces what ran there, two managers of three deploy, and the node joins in when it is back."""
    manager = swarm.nodes[0]
    lost, *_ = swarm.others(manager, swarm.leader(manager))

    with load.upon(url(project, manager)) as asked:
        began = time.time()
        lost.lose()
        noticed = seconds(began, lambda: nodes.state(manager, lost) == "down")
        replaced = seconds(began, lambda: whole(project, manager, lost))
    status = [line.split() for line in project.inv("status", "--env=dev").splitlines() if " ready " in line]
    logs = project.inv("logs", "--env=dev", "--service=worker")
    with load.upon(url(project, manager)) as later:
        without = deploy(project, manager)
    lost.start()
    back = seconds(time.time(), lambda: swarm.agreed() and lost.name in placed(project, manager)["proxy"])
    number = deploy(project, manager)

    say("a node lost", asked, began, noticed=noticed, replaced=replaced)
    say("a deploy without it", later, back=back, everywhere=everywhere(project, swarm, number))
    assert len(asked.failed) <= CLIENTS
    assert [] == later.failed
    assert REPLICAS | {"proxy": 2} == Counter(row[0] for row in status)
    assert lost.name not in {row[4] for row in status}
    assert '"event": "working"' in logs
    assert names(swarm) == placed(project, manager)["proxy"]
    assert REPLICAS["api"] == len(placed(project, manager)["api"])  # on which nodes, the swarm decides
    assert without + 1 == number


def test_the_leader_is_lost_in_a_deploy(project: Project, swarm: Swarm) -> None:
    """The deploy ends with one release alone, the next one through another manager has all of the past."""
    lost = swarm.leader(swarm.nodes[0])
    assert lost
    manager, _ = swarm.others(lost)
    configure(project, manager)
    project.tweak("dev")

    with load.upon(url(project, manager)) as asked:
        deploying = applied(project, image(project, manager))
        began = time.time()
        lost.lose()
        elected = seconds(began, lambda: swarm.leader(manager) in swarm.others(lost))
        said, _ = deploying.communicate(timeout=PATIENCE_SECONDS)
        ended = time.time() - began
        replaced = seconds(began, lambda: whole(project, manager, lost))
    number = deploy(project, manager)
    history = project.inv("history", "--env=dev").splitlines()[1:]
    lost.start()
    back = seconds(time.time(), lambda: swarm.agreed() and lost.name in placed(project, manager)["proxy"])

    say("the leader lost", asked, began, elected=elected, ended=ended, replaced=replaced, back=back)
    assert deploying.returncode in (0, errors.EngineError.code), said
    assert len(asked.failed) <= CLIENTS
    assert [f"{number} *", *map(str, range(number - 1, 0, -1))] == [line.split("  ")[0] for line in history]
    assert {"healthy"} == {line.split()[3] for line in history[2:]}


def test_the_majority_is_lost(project: Project, swarm: Swarm) -> None:
    """What runs on the last manager goes on, a deploy says what is missing, and all is there when one is back."""
    manager = next(node for node in swarm.nodes if node.name in placed(project, swarm.nodes[0])["api"])
    configure(project, manager)
    project.tweak("dev")
    sha = image(project, manager)
    lost = swarm.others(manager)

    with load.upon(url(project, manager)) as asked:
        began = time.time()
        for node in lost:
            node.lose()
        noticed = seconds(began, lambda: not nodes.members(manager))
        tried = time.time()
        shown = project.inv("deploy", "--env=dev", f"--sha={sha}", code=errors.EngineError.code)
        refused = time.time() - tried
    lost[0].start()
    back = seconds(time.time(), swarm.agreed)
    status = project.inv("status", "--env=dev")

    say("the majority lost", asked, began, noticed=noticed, refused=refused, back=back)
    assert len(asked.failed) <= CLIENTS
    assert "error: the swarm has no leader\n" in shown
    assert "dev: release " in status


def test_one_node_needs_no_registry(tmp_path: Path, postgres_url: str, redis_url: str) -> None:
    """The image goes from the engine that built it to the one that runs it, once for both of its environments."""
    for name in ("nodes", "project"):
        (tmp_path / name).mkdir()
    with (
        nodes.swarm(tmp_path / "nodes", ["alone"]) as one,
        swarms.project(tmp_path / "project", postgres_url, redis_url, one.host) as made,
    ):
        [node] = one.nodes
        configure(made, node, None, {"proxy": {}}, replicas={"api": 1, "worker": 1})
        made.commit("one node, no registry")
        made.build()
        made.inv("deploy", "--env=dev")
        made.inv("promote", "--to=staging")

        with node.client() as client:
            found = [image.tags for image in client.images.list(made.name)]
            ran = {container.image.tags[0] for container in client.containers.list()}
        status = made.inv("status", "--env=staging")

    assert [[f"{made.name}:{status.split()[3].removesuffix(',')}"]] == found
    assert {found[0][0]} == ran
