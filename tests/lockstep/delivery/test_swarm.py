"""The swarm engine's parts: what a service looks like, what differs, which releases are kept; no engine needed."""

from dataclasses import replace
from typing import Any, cast

import pytest
from docker.errors import APIError

from ci.delivery import docker
from ci.delivery.engines.swarm import drifts, proxy, records, specs, transfer
from ci.delivery.engines.swarm.cluster import Cluster, Manager
from ci.delivery.release import FAILED, HEALTHY, Release, Service
from ci.ground import errors
from ci.ground.repo import Repo
from tests import checkouts

REPO = Repo(checkouts.ROOT / checkouts.PROJECT)


class Networks:
    """As much of an engine's API as a spec asks for."""

    def networks(self, names: list[str]) -> list[dict[str, str]]:
        """Return the one network that there is."""
        return [{"Name": names[0], "Id": "net"}]

    def nodes(self) -> list[str]:
        """Return the names of two."""
        return ["one", "two"]

    def configs(self, filters: object) -> list[dict[str, Any]]:
        """Return none."""
        return []


@pytest.fixture
def cluster() -> Cluster:
    return Cluster(cast("Manager", Networks()), "acme", "prod")


@pytest.fixture
def release() -> Release:
    services = {
        "api": Service("app", 2, ["LOG_LEVEL", "API_TOKENS"], "acme.prod.7.api"),
        "worker": Service("worker", 1, ["SHUTDOWN_GRACE_SECONDS"], "acme.prod.7.worker"),
    }
    plain = {"LOG_LEVEL": "info", "SHUTDOWN_GRACE_SECONDS": "42"}
    settings = {
        "proxy": {"port": 8443, "image": "haproxy:2.6-bookworm"},
        "placement": {"api": ["node.role==worker"]},
        "resources": {"worker": {"memory_mb": 64}},
    }
    about = ("prod", 7, "abc", plain, ["API_TOKENS"], "me", "now", "sha256:1")
    return Release(*about, services=services, settings=settings)


def container(spec: dict[str, Any]) -> dict[str, Any]:
    return dict(spec["TaskTemplate"]["ContainerSpec"])


def test_a_service_gets_its_own_values(cluster: Cluster, release: Release) -> None:
    """Plain values that name the service are its environment; the sealed ones are a file in memory, its bundle."""
    api = container(specs.service(cluster, release, "api", {"acme.prod.7.api": "id"}))
    worker = container(specs.service(cluster, release, "worker", {}))

    assert ["LOG_LEVEL=info"] == api["Env"]
    assert ["SHUTDOWN_GRACE_SECONDS=42"] == worker["Env"]
    assert [("acme.prod.7.api", "id")] == [(one["SecretName"], one["SecretID"]) for one in api["Secrets"]]
    assert "--bundle /run/secrets/bundle api app --port 8000 --sha abc --release 7" == " ".join(api["Args"])


def test_a_service_is_locked_down(cluster: Cluster, release: Release) -> None:
    """Nothing is writable but a small folder in memory, and no capability is left."""
    api = container(specs.service(cluster, release, "api", {}))

    assert (True, ["ALL"]) == (api["ReadOnly"], api["CapabilityDrop"])
    assert ["tmpfs"] == [one["Type"] for one in api["Mounts"]]


def test_a_replica_is_replaced_by_a_healthy_one(cluster: Cluster, release: Release) -> None:
    """The new one comes first, the old one has its grace and five seconds more, and no virtual address."""
    spec = specs.service(cluster, release, "worker", {})

    assert ("start-first", "rollback") == (spec["UpdateConfig"]["Order"], spec["UpdateConfig"]["FailureAction"])
    assert 47 * specs.SECOND == container(spec)["StopGracePeriod"]
    assert {"Mode": "dnsrr"} == spec["EndpointSpec"]


def test_placement_and_limits(cluster: Cluster, release: Release) -> None:
    """What environments.yaml says of nodes and limits reaches the swarm in its own units."""
    api, worker = (specs.service(cluster, release, name, {})["TaskTemplate"] for name in ("api", "worker"))

    assert ["node.role==worker"] == api["Placement"]["Constraints"]
    assert 64 * 1024 * 1024 == worker["Resources"]["Limits"]["MemoryBytes"]


def test_what_runs_away_ends_in_its_own_container(cluster: Cluster, release: Release) -> None:
    """Memory and processes have a limit where nobody said one, of a one-off process and of the proxy as well."""
    api = specs.service(cluster, release, "api", {})["TaskTemplate"]["Resources"]["Limits"]
    job = specs.job(cluster, release, "worker", ["module"], {})["TaskTemplate"]["Resources"]["Limits"]
    limits = proxy.spec(cluster, release, "", None)["TaskTemplate"]["Resources"]["Limits"]

    assert {"MemoryBytes": 1024 * 1024 * 1024, "Pids": 1024} == api
    assert {"MemoryBytes": 64 * 1024 * 1024, "Pids": 1024} == job
    assert {"Pids": 1024} == limits


def test_the_proxy_is_named_by_its_content(cluster: Cluster, release: Release) -> None:
    """A new release of the same shape has the same proxy, so no deploy touches it; a certificate changes it."""
    name = proxy.config_name(cluster, release)

    assert name == proxy.config_name(cluster, replace(release, number=8, sha="def"))
    about = {**release.settings["proxy"], "certificate": "tls"}
    secure = replace(release, settings={**release.settings, "proxy": about})
    assert name != proxy.config_name(cluster, secure)
    assert "ssl crt /run/secrets/certificate" in proxy.text(cluster, secure)
    assert "tasks.acme-prod-api:8000" in proxy.text(cluster, release)


def test_the_proxy_is_locked_down(cluster: Cluster, release: Release) -> None:
    """Nothing of it is writable, no capability is left, and its own ports need none."""
    spec = container(proxy.spec(cluster, release, "", None))

    assert (True, ["ALL"]) == (spec["ReadOnly"], spec["CapabilityDrop"])
    assert "Mounts" not in spec
    assert min(proxy.INSIDE, proxy.METRICS) >= 1024


def test_the_proxy_keeps_metrics_and_readiness_inside(cluster: Cluster, release: Release) -> None:
    """The public port says that there are none, however the path is written."""
    public = proxy.text(cluster, release).partition("frontend public")[2].partition("\nbackend")[0]

    assert "http-request deny deny_status 404 if { path,url_dec -m beg /metrics /readyz }" in public


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"Extra": 1}, []),
        ({"Mode": {"Replicated": {"Replicas": 3}}}, ["Mode.Replicated.Replicas"]),
        ({"Mode": {}}, ["Mode.Replicated.Replicas"]),
        ({"Env": ["A=2"]}, ["Env"]),
        ({"Empty": None}, []),
    ],
)
def test_only_what_we_set_is_compared(change: dict[str, Any], expected: list[str]) -> None:
    """What the swarm adds by itself is no difference, and an empty value is none either."""
    then = {"Mode": {"Replicated": {"Replicas": 2}}, "Env": ["A=1"], "Empty": []}

    assert expected == list(proxy.differences({**then, **change}, then))


def test_a_value_put_in_by_hand_is_named_and_not_shown(cluster: Cluster, release: Release) -> None:
    """Drift of an environment tells the variable's name alone: its value may be a secret."""
    spec = specs.service(cluster, release, "api", {})
    now = {
        **spec,
        "TaskTemplate": {**spec["TaskTemplate"], "ContainerSpec": {**container(spec), "Env": ["KEY=hush"]}},
    }

    told = list(drifts._service("api", now, spec))

    assert ["api differs in its environment: KEY, LOG_LEVEL"] == told


def test_retention(release: Release) -> None:
    """The last ten healthy releases are kept with the failures among them; what is older goes."""
    failed = f"{FAILED}: on purpose"
    past = [replace(release, number=n, result=failed if n % 3 == 0 else HEALTHY) for n in range(1, 21)]

    kept = [one.number for one in records.kept(past, 10)]

    assert list(range(7, 21)) == kept
    assert 10 == len([n for n in kept if n % 3])


def test_releases_that_all_failed_are_kept(release: Release) -> None:
    """Before the first healthy release nothing is forgotten."""
    past = [replace(release, number=n, result=FAILED) for n in range(1, 15)]

    assert past == records.kept(past, 10)


def test_several_nodes_need_a_registry(cluster: Cluster, release: Release) -> None:
    """An image that only one of several nodes has is refused before anything starts, with what to do."""
    clients = transfer.Clients(cast("Any", None), "", [])
    with pytest.raises(errors.EngineError, match="several nodes") as caught:
        transfer.bring(clients, cluster, release)

    assert "inv build --push" in caught.value.hint
    assert not transfer.bring(clients, cluster, replace(release, image="registry.example/acme@sha256:1"))


def test_a_remote_swarm_that_has_the_image_is_asked_alone(
    cluster: Cluster, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Docker client of this machine is asked for an image only when the environment's own has none."""
    asked: list[str] = []

    class Own:
        """A client whose images are all those that it is asked for."""

        class images:  # noqa: N801, as the SDK calls it
            get = staticmethod(lambda name: name)

    def connect(address: str) -> None:
        asked.append(address)
        raise errors.EngineError("no docker engine answers here", "start it")

    monkeypatch.setattr(docker, "connect", connect)
    monkeypatch.setattr(Networks, "nodes", lambda _self: ["one"])
    clients = transfer.Clients(cast("Any", Own), "ssh://deploy@prod.example", ["", "ssh://deploy@staging.example"])

    assert not transfer.bring(clients, cluster, release)

    assert [] == asked


@pytest.mark.parametrize(
    ("said", "told"),
    [
        # As Docker 20.10 said them, to a leader that had lost the majority a moment before, and to another fault.
        ("rpc error: code = DeadlineExceeded desc = context deadline exceeded", "the swarm has no leader"),
        ("rpc error: code = InvalidArgument desc = max length", "the engine refused to create config"),
    ],
)
def test_what_a_manager_refuses_is_told(said: str, told: str) -> None:
    """A change that the managers could not agree on is told as what it is; no change is tried twice."""
    asked = []

    class Refusing:
        def create_config(self) -> None:
            asked.append("config")
            raise APIError("500", explanation=said)

    with pytest.raises(errors.EngineError, match=told):
        Manager(Refusing()).create_config()

    assert ["config"] == asked
