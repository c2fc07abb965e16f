"""The settings of the engine `swarm`, under its name in environments.yaml."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ci.ground.metaschema import finite

RULES: Mapping[str, Any] = {
    "docker": {"type": "string"},
    "address": {"type": "string"},
    "proxy": {
        "type": "dict",
        "schema": {
            "port": {"type": "integer", "required": True, "min": 1, "max": 65535},
            "image": {"type": "string", "required": True},
            "certificate": {"type": "string"},
            "placement": {"type": "list", "schema": {"type": "string"}},
        },
    },
    "placement": {
        "type": "dict",
        "services": True,
        "keysrules": {"type": "string"},
        "valuesrules": {"type": "list", "schema": {"type": "string"}},
    },
    "resources": {
        "type": "dict",
        "services": True,
        "keysrules": {"type": "string"},
        "valuesrules": {
            "type": "dict",
            "schema": {
                "cpus": {"type": "number", "min": 0, "check_with": finite},
                "memory_mb": {"type": "integer", "min": 6},
            },
        },
    },
}


@dataclass(frozen=True)
class Settings:
    """How one environment runs on a swarm.

    `docker` is a Docker context or an address (`ssh://…`), empty for the Docker client of this machine; `address`
    is where the proxy is reached from here. `placement` holds constraints and `resources` limits, by service.
    """

    docker: str = ""
    address: str = "127.0.0.1"
    proxy: Mapping[str, Any] = field(default_factory=dict)
    placement: Mapping[str, Sequence[str]] = field(default_factory=dict)
    resources: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def recorded(self) -> dict[str, Any]:
        """The settings that are part of a release, as JSON can hold them."""
        return {
            "proxy": dict(self.proxy),
            "placement": {name: list(constraints) for name, constraints in self.placement.items()},
            "resources": {name: dict(limits) for name, limits in self.resources.items()},
        }
