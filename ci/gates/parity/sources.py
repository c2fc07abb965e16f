"""What the services' code reads: keys of the config, and environment variables past it."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ci.gates.finding import Finding, finding
from ci.gates.parity import rules
from ci.gates.parity.matrix import content
from ci.ground.errors import GateError
from ci.ground.repo import Repo
from ci.ground.schema import Schema

SHARED = "model"  # what both services import
_READERS = frozenset(
    {"dotenv", "environs", "environ", "decouple", "pydantic_settings", "dynaconf", "posix", "nt", "envparse"}
)
_OF_OS = frozenset({"environ", "environb", "getenv", "getenvb", "putenv"})
_FILE = re.compile(r"(?:\S*/)?[\w.-]*\.env(?:\.\w+)?|/proc/\S+/environ")
_CONFIGS = re.compile(r"_?(?:config|settings|cfg|conf)")

Nodes = list[ast.AST]  # of one module, walked once


@dataclass
class Reads:
    """Which keys are read, in how many modules, and what is wrong."""

    keys: set[str] = field(default_factory=set)
    found: list[Finding] = field(default_factory=list)
    files: int = 0


def look(repo: Repo) -> Reads:
    """Look at every module of the services and at what they share; GateError for a module that does not parse."""
    schema, reads = repo.schema, Reads()
    owners = {module.partition(".")[0]: service for service, module in schema.services.items()}
    for folder in (*owners, SHARED):
        for path in sorted((repo.root / folder).rglob("*.py")):
            place = str(path.relative_to(repo.root))
            _file(repo, path, place, owners.get(folder), reads)
            reads.files += 1
    for key in schema.keys.values():
        if key.name not in reads.keys:
            line = _line_of(repo, key.name)
            message = "no service reads it"
            reads.found.append(finding(rules.UNREAD, "config/schema.yaml", message, key=key.name, line=line))
    return reads


def _file(repo: Repo, path: Path, place: str, service: str | None, reads: Reads) -> None:
    try:
        nodes = list(ast.walk(ast.parse(content(repo, place), str(path))))
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last is how deep the parser goes
        raise GateError(f"{place} is not Python", "fix its syntax: the gate must see what it reads") from None
    reads.found += [
        finding(rules.ENVIRON, place, f"reads {source}, past the loader", line=line)
        for source, line in _environ(nodes)
    ]
    for key, line, sure in _keys(nodes, repo.schema):
        reads.keys.add(key)
        listed = repo.schema.keys[key].services
        if service and sure and service not in listed:
            message = f"{service} reads it, and only {', '.join(listed)} get it"
            reads.found.append(finding(rules.UNLISTED, place, message, key=key, line=line))


def _environ(nodes: Nodes) -> Iterator[tuple[str, int]]:
    """Yield what reads the environment or an env file by itself: what it is, and its line."""
    modules = {"os"} | {
        alias.asname
        for node in nodes
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name == "os" and alias.asname
    }
    for node in nodes:
        match node:
            case ast.Attribute(value=value, attr=attr) if attr in _OF_OS and _is_os(value, modules):
                yield f"os.{attr}", node.lineno
            case ast.ImportFrom(module="os", names=names):
                yield from ((f"os.{alias.name}", node.lineno) for alias in names if alias.name in {*_OF_OS, "*"})
            case ast.ImportFrom(module=str(module), level=0) if _reader(module):
                yield module, node.lineno
            case ast.Import(names=names):
                yield from ((alias.name, node.lineno) for alias in names if _reader(alias.name))
            case ast.Call(args=[_, ast.Constant(value=str(attr)), *_]) if attr in _OF_OS and _named(
                node.func, "getattr"
            ):
                yield f"os.{attr}", node.lineno
            case ast.Call(args=[ast.Constant(value=str(module)), *_]) if _imports(node.func) and _reader(module):
                yield module, node.lineno
            case ast.Constant(value=str(text)) if _FILE.fullmatch(text):
                yield "an env file", node.lineno


def _keys(nodes: Nodes, schema: Schema) -> Iterator[tuple[str, int, bool]]:
    """Yield the keys that attributes name, and whether it is for sure a config that they belong to."""
    known = {key.lower(): key for key in schema.keys}
    loaded = _loaded(nodes)
    for node in nodes:
        if isinstance(node, ast.Attribute) and node.attr in known:
            yield known[node.attr], node.lineno, _is_config(node.value, loaded)
        elif isinstance(node, ast.Call) and _named(node.func, "getattr") and len(node.args) > 1:
            name = node.args[1].value if isinstance(node.args[1], ast.Constant) else None
            if isinstance(name, str) and name in known:
                yield known[name], node.lineno, _is_config(node.args[0], loaded)


def _loaded(nodes: Nodes) -> set[str]:
    """Return the names that a module gives to what runtime.load() returns, or to a Config that it is handed."""
    names = set()
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=func)) if _named(func, "load"):
                names.add(name)
            case ast.arg(arg=name, annotation=ast.expr() as kind) if _named(kind, "Config"):
                names.add(name)
    return names


def _is_config(node: ast.expr, loaded: set[str]) -> bool:
    if isinstance(node, ast.Call):
        return _named(node.func, "load")
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return name in loaded or bool(_CONFIGS.fullmatch(name))


def _is_os(node: ast.expr, modules: set[str]) -> bool:
    if isinstance(node, ast.Call):  # __import__("os"), import_module("os")
        return _imports(node.func) and any(
            isinstance(argument, ast.Constant) and argument.value == "os" for argument in node.args
        )
    return isinstance(node, ast.Name) and node.id in modules


def _imports(func: ast.expr) -> bool:
    return _named(func, "__import__") or _named(func, "import_module")


def _named(node: ast.expr, name: str) -> bool:
    return (isinstance(node, ast.Name) and node.id == name) or (
        isinstance(node, ast.Attribute) and node.attr == name
    )


def _reader(module: str) -> bool:
    return module.partition(".")[0] in _READERS or module == "starlette.config"


def _line_of(repo: Repo, key: str) -> int:
    data = content(repo, "config/schema.yaml")
    match = re.search(rf"(?m)^ +{key}:".encode(), data)
    return data.count(b"\n", 0, match.start()) + 1 if match else 1
