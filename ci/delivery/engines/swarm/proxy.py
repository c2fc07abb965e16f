"""The proxy: a HAProxy on every node that owns the public port, and finds the replicas through the swarm's DNS.

Its configuration is named by its content and its service is not touched while its spec stays the same: to replace
it would drop the connections that it holds, so the deploy of a new release does not.
"""

import hashlib
import math
import re
from collections.abc import Iterable
from typing import Any

from ci.delivery import routes
from ci.delivery.engines.swarm import services, specs
from ci.delivery.engines.swarm.cluster import Cluster, absent, label
from ci.delivery.release import Release
from ci.delivery.routes import Route
from ci.ground import errors

NAME = "proxy"
INSIDE, METRICS = 8080, 8404
FILE = "/usr/local/etc/haproxy/haproxy.cfg"
CERTIFICATE = "/run/secrets/certificate"
SERVER_SECONDS = 60  # without a byte of a replica's answer; as long as the service may drain, if that is longer
SLOTS = 64  # room for replicas; a server that DNS does not name costs nothing

DEFAULTS = """\
global
    log stdout format raw local0
    fd-hard-limit 65536

defaults
    mode http
    log global
    option httplog
    option dontlog-normal
    option redispatch
    # Towards a replica each request has a connection of its own, so one without connections has answered them all.
    option http-server-close
    http-reuse never
    retries 3
    timeout connect 2s
    timeout client 60s
    timeout http-request 10s
    timeout http-keep-alive 60s
    timeout queue 10s
    timeout tunnel 1h
    timeout check 5s

resolvers swarm
    nameserver dns 127.0.0.11:53
    resolve_retries 3
    timeout resolve 500ms
    timeout retry 500ms
    hold valid 500ms
    hold obsolete 0s
"""

REST = f"""\
backend _none
    http-request deny deny_status 404

frontend _metrics
    bind :{METRICS}
    http-request use-service prometheus-exporter if {{ path /metrics }}
    no log
"""


def text(cluster: Cluster, release: Release) -> str:
    """Return HAProxy's configuration for a release."""
    served = routes.of(release)
    rules = [line for number, route in enumerate(served) for line in _rules(number, route)]
    backends = [line for route in served for line in _backend(cluster, release, route)]
    return "\n".join([DEFAULTS, *_public(release), *rules, "    default_backend _none\n", *backends, REST])


def present(release: Release) -> bool:
    """Say whether a release has a proxy: its environment names one, and a service is public."""
    return bool(release.settings["proxy"] and routes.of(release))


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
            "Networks": [{"Target": cluster.network, "Aliases": [NAME]}],
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
    if not present(release):
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


def _public(release: Release) -> list[str]:
    """Return the public side, which reads a path as services do: decoded once, repeated slashes as one."""
    tls = f" ssl crt {CERTIFICATE} alpn h2,http/1.1" if release.settings["proxy"].get("certificate") else ""
    return [
        "frontend _public",
        f"    bind :{INSIDE}{tls}",
        "    option forwardfor",
        "    http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]",
        "    http-request set-header X-Forwarded-Host %[req.hdr(host)]",
        "    http-request set-var(txn.host) req.hdr(host),host_only,lower",
        "    http-request set-var(txn.path) path,url_dec,regsub(/+,/,g)",
        # What a service might read as another path than the proxy does: a bad escape, and folders upwards.
        "    http-request deny deny_status 400 unless { var(txn.path) -m found }",
        "    http-request deny deny_status 400 if { var(txn.path) -m sub /./ /../ }",
        "    http-request deny deny_status 400 if { var(txn.path) -m end /. /.. }",
    ]


def _rules(number: int, route: Route) -> list[str]:
    """Return the lines that lead requests to a service; the first rule that matches is obeyed."""
    lines, conditions = [], []
    if route.host:
        lines.append(f"    acl host-{number} var(txn.host) -m str -- {_word(route.host)}")
        conditions.append(f"host-{number}")
    if route.path:
        lines.append(f"    acl path-{number} var(txn.path) -m str -- {_word(route.path)}")
        lines.append(f"    acl path-{number} var(txn.path) -m beg -- {_word(route.path)}/")
        conditions.append(f"path-{number}")
    return [*lines, f"    use_backend {route.service} if {' '.join(conditions) or 'TRUE'}"]


def _backend(cluster: Cluster, release: Release, route: Route) -> list[str]:
    service = release.services[route.service]
    replicas = f"tasks.{cluster.name(route.service)}:{service.declared.port}"
    lines = [
        f"backend {route.service}",
        "    balance roundrobin",
        f"    timeout server {max(SERVER_SECONDS, math.ceil(service.declared.drain_seconds))}s",
        "    default-server check inter 500ms fall 2 rise 1 resolvers swarm init-addr none",
        f"    server-template replica {max(SLOTS, 2 * service.replicas)} {replicas}",
    ]
    for path in map(_word, route.private):  # whatever the case, and whatever follows
        lines.append(f"    acl private var(txn.path) -i -m str -- {path}")
        lines.append(f"    acl private var(txn.path) -i -m beg -- {path}/ {path};")
    if route.private:
        lines.append("    http-request deny deny_status 404 if private")
    if alive := service.declared.health.alive:
        check = f"meth GET uri {_word(alive)} ver HTTP/1.1 hdr Host localhost hdr Connection close"
        lines += ["    option httpchk", f"    http-check send {check}"]
        # A replica of another release may not know the path; whether one is healthy is for the swarm to say.
        lines.append("    http-check expect status 200-399,404")
    return [*lines, ""]


def _word(text: str) -> str:
    """Return a text as one word of HAProxy's configuration, whatever is in it."""
    return re.sub(r"([\\\s#'\"])", r"\\\1", text) or '""'
