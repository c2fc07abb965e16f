"""What generated modules hold."""

from typing import Any

from ci.ground import generate
from ci.ground.schema import Schema


def imported(schema: Schema) -> dict[str, Any]:
    """Return the names of the keys module of a schema, as an import gives them."""
    names: dict[str, Any] = {"__name__": "keys"}
    exec(compile(generate.keys_module(schema), "keys.py", "exec"), names)
    return names
