"""What is generated from the schema: the types of config's attributes, and the table of keys in docs/.

Run `python -m ci.ground.generate` after a change of schema.yaml; a test fails when a generated file is stale.
"""

from collections.abc import Callable
from pathlib import Path

from ci.ground.schema import TYPES, Key, Schema, read

ROOT = Path(__file__).parents[2]


def keys_module(schema: Schema) -> str:
    """Return runtime/keys.py: a class that gives each key's attribute its type, for mypy and editors."""
    lines = [
        '"""Generated from schema.yaml by `python -m ci.ground.generate`."""',
        "",
        "from runtime.secret import Secret",
        "",
        "",
        "class Keys:",
        '    """The attribute of each key and its type; which of them are there depends on the service."""',
        "",
    ]
    for key in schema.keys.values():
        kind = "Secret" if key.secret else TYPES[key.rules["type"]].__name__
        lines.append(f"    {key.name.lower()}: {kind}")
    return "\n".join(lines) + "\n"


def keys_table(schema: Schema) -> str:
    """Return docs/keys.md: every key in one table."""
    lines = [
        "# Keys",
        "",
        "Generated from `config/schema.yaml` by `python -m ci.ground.generate`.",
        "",
        "| key | what it is | stored | services | value | example |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{key.name}` | {key.meta['description']} | {'sealed' if key.secret else 'plain'} "
        f"| {', '.join(key.services)} | {_value(key)} | `{key.meta['example']}` |"
        for key in schema.keys.values()
    ]
    return "\n".join(lines) + "\n"


def _value(key: Key) -> str:
    rules = key.rules
    if "allowed" in rules:
        text = " or ".join(f"`{value}`" for value in rules["allowed"])
    elif "url" in rules:
        text = " or ".join(f"`{scheme}://`" for scheme in rules["url"])
    elif "min" in rules:
        text = f"{rules['type']}, {rules['min']} to {rules['max']}"
    else:
        text = str(rules["type"])
    return text if key.required else f"{text}; default `{rules['default']}`"


FILES: dict[str, Callable[[Schema], str]] = {"runtime/keys.py": keys_module, "docs/keys.md": keys_table}


def main() -> None:
    """Write every generated file."""
    schema = read()
    for name, make in FILES.items():
        (ROOT / name).write_text(make(schema), encoding="utf-8")


if __name__ == "__main__":
    from ci import cli

    with cli.reported():
        main()
