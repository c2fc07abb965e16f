"""The settings of the engine `processes`, under its name in environments.yaml."""

from collections.abc import Mapping
from typing import Any

# `ports`: where a service is reached on this machine: a number, or a plain key whose value has the port.
RULES: Mapping[str, Any] = {
    "ports": {
        "type": "dict",
        "services": True,
        "keysrules": {"type": "string"},
        "valuesrules": {"type": ["integer", "string"], "min": 1, "max": 65535, "regex": r"[A-Z][A-Z0-9_]*\Z"},
    },
}
