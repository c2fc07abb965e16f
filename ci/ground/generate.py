"""What is generated from the schema: the rules that services start with, and the table of keys in docs/.

Run `python -m ci.ground.generate [PATH]` after a change of schema.yaml; the parity gate finds a stale file.
PATH is a checkout, this one by default.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ci.ground import errors, files, repo
from ci.ground.repo import Repo
from ci.ground.schema import TYPES, Key, Schema

WIDTH = 88  # the default of ruff and black; a formatter that allows longer lines leaves shorter ones alone
_HEAD = '''"""Generated from config/schema.yaml by `python -m ci.ground.generate`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runtime.secret import Secret

'''
_CLASS = '''

class Keys:
    """The attribute of each key and its type; a config has those of its own service."""

'''


def keys_module(schema: Schema) -> str:
    """Return runtime/keys.py: services, jobs and rules as literals; a class with each key's attribute and type."""
    services, keys = "SERVICES: tuple[str, ...] = ", "KEYS: dict[str, dict[str, Any]] = "
    rules = {key.name: compiled(key, schema) for key in schema.keys.values()}
    attributes = (f"    {key.name.lower()}: {_annotation(key)}\n" for key in schema.keys.values())
    return (
        f"{_HEAD}{services}{_literal((*schema.services, *schema.jobs), used=len(services))}\n"
        f"{keys}{_literal(rules, used=len(keys))}\n{_CLASS}{''.join(attributes)}"
    )


def compiled(key: Key, schema: Schema) -> dict[str, Any]:
    """Return what a service needs to know of a key: who reads it, jobs included, and its rules."""
    jobs = [name for name, job in schema.jobs.items() if not set(job.keys).isdisjoint(key.services)]
    rules: dict[str, Any] = {"services": (*key.services, *jobs)}
    if key.secret:
        rules["secret"] = True
    rules |= {rule: tuple(bound) if isinstance(bound, list) else bound for rule, bound in key.rules.items()}
    if rules["type"] == "float" and rules.get("default") is not None:
        rules["default"] = float(rules["default"])
    return rules


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
    lines += map(_row, schema.keys.values())
    return "\n".join(lines) + "\n"


FILES: dict[str, Callable[[Schema], str]] = {"runtime/keys.py": keys_module, "docs/keys.md": keys_table}


def write(checkout: Repo) -> None:
    """Write every generated file of a checkout; ConfigurationError, and no file, when its schema is wrong."""
    texts = {name: make(checkout.schema) for name, make in FILES.items()}
    for name, text in texts.items():
        files.replace(checkout.root / name, text)


def _annotation(key: Key) -> str:
    name = "Secret" if key.secret else TYPES[key.rules["type"]].__name__
    return name if key.required or key.rules["default"] is not None else f"{name} | None"


def _row(key: Key) -> str:
    stored = f"part of `{key.source}`" if key.source else "sealed" if key.secret else "plain"
    services = ", ".join(key.services)
    cells = [f"`{key.name}`", key.meta["description"], stored, services, _value(key), f"`{key.meta['example']}`"]
    return "| " + " | ".join(" ".join(cell.split()).replace("|", r"\|") for cell in cells) + " |"


def _value(key: Key) -> str:
    rules = key.rules
    if "allowed" in rules:
        text = " or ".join(f"`{value}`" for value in rules["allowed"])
    elif "url" in rules:
        text = " or ".join(f"`{scheme}://`" for scheme in rules["url"])
    else:
        text = ", ".join([rules["type"], *_bounds(rules)])
    if key.required:
        return text
    return f"{text}; optional" if rules["default"] is None else f"{text}; default `{rules['default']}`"


def _bounds(rules: Mapping[str, Any]) -> list[str]:
    if "min" in rules and "max" in rules:
        return [f"{rules['min']} to {rules['max']}"]
    words = {"min": "at least", "max": "at most"}
    return [f"{word} {rules[rule]}" for rule, word in words.items() if rule in rules]


def _literal(value: Any, indent: str = "", used: int = 0) -> str:
    """Return Python that a formatter does not change; `used` characters of its first line are taken already."""
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, Mapping):
        opening, closing, items = "{", "}", [(f"{_string(name)}: ", item) for name, item in value.items()]
    elif isinstance(value, tuple):
        opening, closing, items = "(", ")", [("", item) for item in value]
    else:
        return repr(value).replace("e+", "e")  # 1e16
    flat = ", ".join(f"{start}{_literal(item)}" for start, item in items)
    flat = f"{opening}{flat}{',' if isinstance(value, tuple) and len(value) == 1 else ''}{closing}"
    if len(indent) + used + len(flat) <= WIDTH:
        return flat
    inner = f"{indent}    "
    lines = (f"{inner}{start}{_literal(item, inner, len(start) + 1)},\n" for start, item in items)
    return f"{opening}\n{''.join(lines)}{indent}{closing}"


def _string(text: str) -> str:
    """Return a literal in ASCII, in double quotes unless single ones need fewer escapes."""
    quoted = ascii(f'"{text}')  # in single quotes, which are escaped within
    if text.count('"') > text.count("'"):
        return f"'{quoted[2:]}"
    return '"' + quoted[2:-1].replace("\\'", "'").replace('"', '\\"') + '"'


def main(arguments: Sequence[str]) -> None:
    """Write every generated file of this checkout, or of the one that is named."""
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        raise errors.UsageError("not one checkout's path", "python -m ci.ground.generate [PATH]")
    write(Repo(Path(arguments[0])) if arguments else repo.here())


if __name__ == "__main__":
    from ci import cli

    with cli.reported():
        main(sys.argv[1:])
