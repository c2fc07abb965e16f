"""The proxy: a HAProxy on every node that owns the public port, and finds the replicas through the swarm's DNS.

Its configuration is named by its content and its service is not touched while its spec stays the same: to replace
it would drop the connections that it holds, so the deploy of a new release does not.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

from ci.delivery.engines.swarm import services, specs
from ci.delivery.engines.swarm.cluster import Cluster, absent, label
from ci.delivery.release import Release
from ci.ground import errors

NAME = "proxy"
INSIDE, METRICS = 8080, 8404
FILE = "/usr/local/etc/haproxy/haproxy.cfg"
CERTIFICATE = "/run/secrets/certificate"
SLOTS = 64  # room for replicas; a server that DNS does not name costs nothing


def text(cluster: Cluster, release: Release) -> str:
    """Return HAProxy's configuration for a release."""
    tls = f" ssl crt {CERTIFICATE} alpn h2,http/1.1" if release.settings["proxy"].get("certificate") else ""
    slots = max(SLOTS, 2 * release.services[specs.PUBLIC].replicas)
    return f"""\
global
    log stdout format raw local0
    fd-hard-limit 65536

defaults
    mode http
    log global
    option httplog
    option dontlog-normal
    option redispatch
    retries 3
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    timeout http-request 10s
    timeout http-keep-alive 60s
    timeout queue 10s

resolvers swarm
    nameserver dns 127.0.0.11:53
    resolve_retries 3
    timeout resolve 500ms
    timeout retry 500ms
    hold valid 500ms
    hold obsolete 0s

frontend public
    bind :{INSIDE}{tls}
    option forwardfor
    http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]
    # As the api reads a path: decoded once. Its numbers are for a Prometheus in the network, at the replicas, and
    # which of its parts is down is for who runs it.
    http-request deny deny_status 404 if {{ path,url_dec -m beg /metrics /readyz }}
    default_backend replicas

backend replicas
    balance roundrobin
    option httpchk GET /healthz
    default-server check inter 500ms fall 2 rise 1 resolvers swarm init-addr none
    server-template replica {slots} tasks.{cluster.name(specs.PUBLIC)}:{specs.PORT}

frontend metrics
    bind :{METRICS}
    http-request use-service prometheus-exporter if {{ path /metrics }}
    no log
"""


def config_name(cluster: Cluster, release: Release) -> str:
    """Return the name of the configuration, which changes with its content."""
    return cluster.key(NAME, hashlib.sha256(text(cluster, release).encode()).hexdigest()[:12])


def spec(cluster: Cluster, release: Release, config: str, certificate: str | None) -> dict[str, Any]:
    """Return the service's spec; `config` and `certificate` are ids."""
    file = {"Name": FILE, "UID": "0", "GID": "0", "Mode": 0o444}
    container: dict[str, Any] = {
        "Image": release.settings["proxy"]["image"],
        "Labels": cluster.labels(service=NAME),
        "Configs": [{"File": file, "ConfigID": config, "ConfigName": config_name(cluster, release)}],
        "StopGracePeriod": 30 * specs.SECOND,
        "ReadOnly": True,
        "CapabilityDrop": ["ALL"],  # inside, its ports are above 1024
    }
    if certificate:
        where = file | {"Name": CERTIFICATE}
        container["Secrets"] = [
            {"File": where, "SecretID": certificate, "SecretName": release.settings["proxy"]["certificate"]}
        ]
    port = {
        "Protocol": "tcp",
        "TargetPort": INSIDE,
        "PublishedPort": release.settings["proxy"]["port"],
        "PublishMode": "host",
    }
    return {
        "Name": cluster.name(NAME),
        "Labels": cluster.labels(service=NAME),
        "TaskTemplate": {
            "ContainerSpec": container,
            "Resources": {"Limits": {"Pids": specs.PIDS}},
            "RestartPolicy": {"Condition": "any", "Delay": specs.SECOND},
            "Placement": {"Constraints": list(release.settings["proxy"].get("placement", ()))},
            "Networks": [{"Target": cluster.network}],
        },
        "Mode": {"Global": {}},
        # The port is the node's own, so the old task must free it before the new one starts.
        "UpdateConfig": {"Parallelism": 1, "Order": "stop-first", "FailureAction": "rollback"},
        "EndpointSpec": {"Mode": "dnsrr", "Ports": [port]},
    }


def wanted(cluster: Cluster, release: Release) -> dict[str, Any]:
    """Return the spec with the ids that the swarm has for what it names; an id is empty if there is none yet."""
    stored = cluster.api.configs(filters=cluster.filters(kind=NAME))
    configs = {config["Spec"]["Name"]: config["ID"] for config in stored}
    return spec(cluster, release, configs.get(config_name(cluster, release), ""), _certificate(cluster, release))


def put(cluster: Cluster, release: Release) -> None:
    """Bring the proxy to what the release says; if it is so already, it is not touched."""
    if not release.settings["proxy"]:
        services.remove(cluster, filter(None, [services.find(cluster, cluster.name(NAME))]))
        return
    name = config_name(cluster, release)
    if not cluster.api.configs(filters={"name": [name]}):
        cluster.api.create_config(name, text(cluster, release).encode(), cluster.labels(kind=NAME))
    service, target = services.find(cluster, cluster.name(NAME)), wanted(cluster, release)
    if service is None or list(differences(service["Spec"], target)):
        services.put(cluster, target)


def differences(actual: dict[str, Any], target: dict[str, Any]) -> Iterable[str]:
    """Yield the paths where the swarm's spec differs from ours; only what we set is compared."""
    for key, value in target.items():
        if isinstance(value, dict):
            yield from (f"{key}.{rest}" for rest in differences(actual.get(key) or {}, value))
        elif (actual.get(key) or None) != (value or None):
            yield key


def sweep(cluster: Cluster) -> None:
    """Remove the configurations that the proxy does not use any more."""
    service = services.find(cluster, cluster.name(NAME))
    container = service["Spec"]["TaskTemplate"]["ContainerSpec"] if service else {}
    used = {config["ConfigID"] for config in container.get("Configs", ())}
    for config in cluster.api.configs(filters=cluster.filters(kind=NAME)):
        if config["ID"] not in used and label(config, "kind") == NAME:
            with absent():
                cluster.api.remove_config(config["ID"])


def _certificate(cluster: Cluster, release: Release) -> str | None:
    name = release.settings["proxy"].get("certificate")
    if not name:
        return None
    for secret in cluster.api.secrets(filters={"name": [name]}):
        if secret["Spec"]["Name"] == name:
            return str(secret["ID"])
    hint = f"docker secret create {name} FILE, of certificate and key; environments.yaml names it"
    raise errors.EngineError(f"the swarm has no secret {name}, the proxy's certificate", hint)
