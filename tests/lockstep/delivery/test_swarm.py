"""The swarm engine's parts: what a service looks like, what differs, which releases are kept; no engine needed."""

import secrets as random
import socket
import subprocess
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest
from docker.errors import APIError

from ci.delivery import docker
from ci.delivery.engines.swarm import bundles, changes, drifts, proxy, records, specs, transfer
from ci.delivery.engines.swarm.cluster import Cluster, Manager
from ci.delivery.release import FAILED, HEALTHY, Job, Release, Service
from ci.ground import errors, services
from ci.ground.repo import Repo
from runtime import Secret
from tests import checkouts

REPO = Repo(checkouts.ROOT / checkouts.PROJECT)


@dataclass
class Secrets:
    """As much of an engine's API as keeps bundles and runs nothing."""

    names: list[str]

    def secrets(self, filters: object) -> list[dict[str, Any]]:
        """Return those that there are."""
        return [{"ID": name, "Spec": {"Name": name}} for name in self.names]

    def create_secret(self, name: str, *_: object) -> None:
        """Keep one more."""
        self.names.append(name)


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
    api = services.Service(
        ("python3", "-m", "shop", "{port}", "{sha}", "{release}"),
        port=8000,
        public=services.Public("shop.example", private=("/metrics", "/readyz")),
        health=services.Health("/readyz", "/healthz"),
        temporary=("/var/cache/shop",),
        kept={"media": "/srv/media"},
    )
    sender = services.Service(("node", "sender.js"), single=True, drain_seconds=42, image="web")
    migrate = services.Job(("python", "-m", "shop.migrate"), ("api",))
    return Release(
        environment="prod",
        number=7,
        sha="abc",
        plain={"LOG_LEVEL": "info", "PUBLIC_URL": "https://shop.example", "PAUSE": "3"},
        sealed=["API_TOKENS"],
        who="me",
        when="now",
        images={"main": "sha256:1", "web": "sha256:2"},
        services={
            "api": Service(api, 2, ["LOG_LEVEL", "PUBLIC_URL", "API_TOKENS"], "acme.prod.7.api"),
            "sender": Service(sender, 1, ["PAUSE"], "acme.prod.7.sender"),
        },
        jobs={"migrate": Job(migrate, ["LOG_LEVEL", "API_TOKENS"], "acme.prod.7.migrate")},
        settings={
            "proxy": {"port": 8443, "image": "haproxy:2.6-bookworm"},
            "placement": {"api": ["node.role==worker"]},
            "resources": {"sender": {"memory_mb": 64}},
        },
    )


def container(spec: dict[str, Any]) -> dict[str, Any]:
    return dict(spec["TaskTemplate"]["ContainerSpec"])


def declaring(release: Release, name: str, **fields: Any) -> Release:
    """Return the release with a service that declares something else."""
    about = release.services[name]
    changed = replace(about, declared=replace(about.declared, **fields))
    return replace(release, services={**release.services, name: changed})


def argv(spec: dict[str, Any]) -> str:
    return " ".join((*container(spec)["Command"], *container(spec)["Args"]))


def test_a_service_gets_its_own_values(cluster: Cluster, release: Release) -> None:
    """Plain values that name the service are its environment; the sealed ones are a file in memory, its bundle."""
    api = container(specs.service(cluster, release, "api", {"acme.prod.7.api": "id"}))
    sender = container(specs.service(cluster, release, "sender", {}))

    assert ["LOG_LEVEL=info", "PORT=8000", "PUBLIC_URL=https://shop.example"] == api["Env"]
    assert ["PAUSE=3"] == sender["Env"]
    assert [("acme.prod.7.api", "id")] == [(one["SecretName"], one["SecretID"]) for one in api["Secrets"]]
    assert [] == sender["Secrets"]


def test_a_service_is_started_by_the_entrypoint_of_its_language(cluster: Cluster, release: Release) -> None:
    """A Python module runs in the same process, any other command by a shell; no sealed value means no file."""
    api, sender = (specs.service(cluster, release, name, {}) for name in ("api", "sender"))
    bundle = "--bundle /run/secrets/bundle --service api --port 8000 --drain 30"

    assert f"python3 /opt/lockstep/runtime/entry.py {bundle} -- python3 -m shop 8000 abc 7" == argv(api)
    entry = "sh /opt/lockstep/runtime/entry.sh --bundle /dev/null --service sender"
    assert f"{entry} -- node sender.js" == argv(sender)
    assert ["sha256:1", "sha256:2"] == [container(spec)["Image"] for spec in (api, sender)]
    assert "SIGTERM" == container(api)["StopSignal"]


def test_a_job_has_its_own_command_and_another_may_be_given(cluster: Cluster, release: Release) -> None:
    """A job runs with its own bundle; a command that an operator types runs as it was typed, without a port."""
    job = specs.job(cluster, release, "migrate", (), {"acme.prod.7.migrate": "id"})
    typed = specs.job(cluster, release, "api", ["ls", "-l"], {})

    entry = "python /opt/lockstep/runtime/entry.py --bundle /run/secrets/bundle --service migrate"
    assert f"{entry} -- python -m shop.migrate" == argv(job)
    assert ["id"] == [secret["SecretID"] for secret in container(job)["Secrets"]]
    assert argv(typed).endswith("--service api -- ls -l")
    assert [{"Test": ["NONE"]}] * 2 == [container(spec)["Healthcheck"] for spec in (job, typed)]
    assert ["node.role==worker"] == job["TaskTemplate"]["Placement"]["Constraints"]


@pytest.mark.parametrize(
    ("name", "fields", "expected"),
    [
        ("api", {}, "CMD python3 -IS /opt/lockstep/runtime/health.py 8000 /readyz /healthz"),
        (
            "api",
            {"health": services.Health(alive="/up")},
            "CMD python3 -IS /opt/lockstep/runtime/health.py 8000 /up",
        ),
        (
            "sender",
            {"port": 3000, "health": services.Health("/up", "/up")},
            "CMD sh /opt/lockstep/runtime/health.sh 3000 /up /up",
        ),
        (
            "sender",
            {"health": services.Health(command=("node", "check.js"))},
            "CMD sh /opt/lockstep/runtime/entry.sh --bundle /dev/null --service sender -- node check.js",
        ),
        ("sender", {}, "NONE"),
        ("api", {"health": services.Health(), "public": None}, "NONE"),
        ("api", {"health": services.Health()}, f"CMD python3 -ISc {specs.LISTENS.format(port=8000)}"),
    ],
)
def test_health_is_asked_as_declared(
    cluster: Cluster, release: Release, name: str, fields: dict[str, Any], expected: str
) -> None:
    """By paths, or by a command with the service's values; a public service without either must listen."""
    spec = specs.service(cluster, declaring(release, name, **fields), name, {})

    assert expected == " ".join(container(spec)["Healthcheck"]["Test"])


def test_a_shell_sees_whether_a_port_listens() -> None:
    """The check of a public service without a health of its own finds the port of a listener, and no other."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        script = ["sh", "-c", specs.LISTENS_SH.format(port=port)]
        listens = subprocess.run(script, check=False).returncode
    closed = subprocess.run(script, check=False).returncode

    assert (0, 1) == (listens, closed)


def test_a_service_is_locked_down(cluster: Cluster, release: Release) -> None:
    """Nothing is writable but folders in memory and the volumes that it declares, and no capability is left."""
    api = container(specs.service(cluster, release, "api", {}))
    mounts = [(one["Type"], one.get("Source", ""), one["Target"]) for one in api["Mounts"]]

    assert (True, ["ALL"]) == (api["ReadOnly"], api["CapabilityDrop"])
    assert ("volume", "acme-prod-media", "/srv/media") == mounts.pop()
    assert [("tmpfs", "", "/tmp"), ("tmpfs", "", "/var/cache/shop")] == mounts


def test_a_replica_is_replaced_by_a_healthy_one(cluster: Cluster, release: Release) -> None:
    """The new one comes first, its end may take as long as it drains and as long again, and no virtual address."""
    api, sender = (specs.service(cluster, release, name, {}) for name in ("api", "sender"))

    assert ("start-first", "rollback") == (api["UpdateConfig"]["Order"], api["UpdateConfig"]["FailureAction"])
    assert [65 * specs.SECOND, 89 * specs.SECOND] == [container(one)["StopGracePeriod"] for one in (api, sender)]
    assert {"Mode": "dnsrr"} == api["EndpointSpec"]


def test_two_of_a_single_service_never_run(cluster: Cluster, release: Release) -> None:
    """The old replica ends before the new one starts, and the other way round when the swarm rolls back."""
    sender = specs.service(cluster, release, "sender", {})

    assert ["stop-first"] * 2 == [sender[kind]["Order"] for kind in ("UpdateConfig", "RollbackConfig")]


def test_services_reach_each_other_by_name(cluster: Cluster, release: Release) -> None:
    """A service's own name leads to its replicas in the environment's network, the proxy's to the proxy."""
    made = [specs.service(cluster, release, "api", {}), proxy.spec(cluster, release, "", None)]

    assert [["api"], ["proxy"]] == [one["TaskTemplate"]["Networks"][0]["Aliases"] for one in made]


def test_placement_and_limits(cluster: Cluster, release: Release) -> None:
    """What environments.yaml says of nodes and limits reaches the swarm in its own units."""
    api, sender = (specs.service(cluster, release, name, {})["TaskTemplate"] for name in ("api", "sender"))

    assert ["node.role==worker"] == api["Placement"]["Constraints"]
    assert 64 * 1024 * 1024 == sender["Resources"]["Limits"]["MemoryBytes"]


def test_what_runs_away_ends_in_its_own_container(cluster: Cluster, release: Release) -> None:
    """Memory and processes have a limit where nobody said one, of a one-off process and of the proxy as well."""
    api = specs.service(cluster, release, "api", {})["TaskTemplate"]["Resources"]["Limits"]
    job = specs.job(cluster, release, "sender", ["module"], {})["TaskTemplate"]["Resources"]["Limits"]
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


def test_the_proxy_has_a_backend_for_each_public_service(cluster: Cluster, release: Release) -> None:
    """The longest path comes first; a service without a path of health is asked for a connection alone."""
    public = services.Public(path="/hooks/", private=("/hooks/it's #1",))
    text = proxy.text(cluster, declaring(release, "sender", public=public, port=3000))

    rules = [line.strip() for line in text.splitlines() if "use_backend" in line]
    assert ["use_backend sender if path-0", "use_backend api if host-1"] == rules
    assert "acl host-1 var(txn.host) -m str -- shop.example\n" in text
    assert "acl path-0 var(txn.path) -m beg -- /hooks/\n" in text
    assert r"-m str -- /hooks/it\'s\ \#1" in text
    assert 1 == text.count("uri /healthz")
    assert "server-template replica 64 tasks.acme-prod-sender:3000\n" in text


def test_the_proxy_keeps_private_paths_inside(cluster: Cluster, release: Release) -> None:
    """Whole segments, what is below them, and in any case of letters; of the decoded path."""
    lines = [line.strip() for line in proxy.text(cluster, release).splitlines()]
    backend = lines[lines.index("backend api") : lines.index("backend _none")]

    assert "http-request set-var(txn.path) path,url_dec,regsub(/+,/,g)" in lines
    assert "acl private var(txn.path) -i -m str -- /metrics" in backend
    assert "acl private var(txn.path) -i -m beg -- /readyz/ /readyz;" in backend
    assert "http-request deny deny_status 404 if private" in backend


@pytest.mark.engine
def test_haproxy_takes_whatever_path_a_schema_may_name(cluster: Cluster, release: Release) -> None:
    """Quotes, a backslash, a comment's sign, a dollar and a percent are parts of a word, and no syntax."""
    odd = '/it\'s/"#1"/$HOME\\%[src]{}/ü'
    public = services.Public("", odd, (odd, "/"))
    changed = declaring(release, "sender", public=public, port=1, health=services.Health(odd, odd))
    text = proxy.text(cluster, declaring(changed, "api", public=services.Public("shop.example", odd)))

    words = ["docker", "run", "--rm", "-i", "haproxy:2.6-bookworm", "haproxy", "-c", "-f", "/dev/stdin"]
    done = subprocess.run(words, input=text.encode(), capture_output=True, check=False)

    assert 0 == done.returncode, done.stderr.decode()


def test_without_a_public_service_there_is_no_proxy(cluster: Cluster, release: Release) -> None:
    """What environments.yaml says of the proxy has no effect then."""
    private = declaring(release, "api", public=None)

    assert [True, False] == [proxy.present(one) for one in (release, private)]
    assert ["proxy     port 8443 by haproxy:2.6-bookworm → none, which drops its connections"] == list(
        changes.between(cluster, release, private)
    )


def test_a_change_of_the_proxy_is_in_the_plan(cluster: Cluster, release: Release) -> None:
    """The same routes leave the proxy alone; other routes replace it, and the plan says so."""
    other = declaring(release, "api", public=services.Public("other.example"))

    assert [] == list(changes.between(cluster, release, replace(release, number=8, sha="def")))
    assert ["proxy     its routes or health checks, which drops its connections"] == list(
        changes.between(cluster, release, other)
    )
    assert ["proxy     none → port 8443 by haproxy:2.6-bookworm"] == list(changes.between(cluster, None, release))


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
    spec = specs.service(cluster, release, "sender", {})
    now = {
        **spec,
        "TaskTemplate": {**spec["TaskTemplate"], "ContainerSpec": {**container(spec), "Env": ["KEY=hush"]}},
    }

    told = list(drifts._service("sender", now, spec))

    assert ["sender differs in its environment: KEY, PAUSE"] == told


def test_an_image_of_no_reader_is_not_brought(cluster: Cluster, release: Release) -> None:
    """An image that only services of other environments run in need not be where this one runs."""
    pushed = {name: f"registry.example/acme@{image}" for name, image in release.images.items()}
    unused = replace(release, images={**pushed, "tools": "sha256:3"})

    assert not transfer.bring(transfer.Clients(cast("Any", None), "", []), cluster, unused)


def test_a_bundle_that_would_be_empty_is_not_kept(release: Release) -> None:
    """The swarm refuses an empty secret: a shell's bundle without values is one, a Python module's is not."""
    assert {"api", "migrate"} == bundles.held(release).keys()
    assert {"api", "migrate", "sender"} == bundles.held(replace(release, sealed=["PAUSE"])).keys()


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
    pushed = {name: f"registry.example/acme@{image}" for name, image in release.images.items()}
    assert not transfer.bring(clients, cluster, replace(release, images=pushed))


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
        # As Docker 20.10 said them, to leaders that had lost the majority a moment before, and to another fault.
        ("rpc error: code = DeadlineExceeded desc = context deadline exceeded", "the swarm has no leader"),
        ("rpc error: code = Unknown desc = context deadline exceeded", "the swarm has no leader"),
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


def test_the_bundle_of_a_hook_is_kept_again(release: Release) -> None:
    """A release that failed has lost its bundles, which a hook of failures needs; nothing else is kept again."""
    api = Secrets(["acme.prod.7.api"])
    cluster = Cluster(cast("Manager", api), "acme", "prod")
    sealed = {"API_TOKENS": Secret(random.token_urlsafe())}

    needed = [bundles.again(cluster, release, reader, sealed) for reader in ("api", "sender", "migrate")]

    assert [False, False, True] == needed
    assert ["acme.prod.7.api", "acme.prod.7.migrate"] == api.names
    assert not bundles.again(Cluster(cast("Manager", Secrets([])), "acme", "prod"), release, "api", {})
