"""What the product's code reads: keys of the config, and environment variables, by itself or past the loader."""

import ast
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from ci.gates.finding import Finding, finding
from ci.gates.parity import environ, hidden, matrix, product, rules
from ci.gates.parity.environ import Read
from ci.gates.parity.libraries import GIVEN, LIBRARIES, is_one
from ci.gates.parity.product import Code, Module
from ci.gates.parity.syntax import Names, last
from ci.ground import services
from ci.ground.repo import Repo
from ci.ground.schema import Schema
from runtime.loader import near

_READERS = frozenset(
    """
    dotenv environs environ decouple pydantic_settings dynaconf posix nt envparse prettyconf goodconf everett
    configargparse confz envyaml envier envclasses ecological typed_settings betterconf
    """.split()  # noqa: SIM905, as a list it is twenty lines
)
_PARTS = frozenset({"starlette.config", "starlette.datastructures.Environ"})
_OF_OS = frozenset({"environ", "environb", "getenv", "getenvb", "putenv"})
_FILE = re.compile(r"(?:\S*/)?[\w.*?-]*\.env(?:\.\w+)?|/proc/\S+/environ")
_CONFIGS = re.compile(r"_?(?:config|settings|cfg|conf)")


@dataclass
class Reads:
    """Which keys are read, in how many files, and what is wrong."""

    keys: set[str] = field(default_factory=set)
    found: list[Finding] = field(default_factory=list)
    files: int = 0


def look(repo: Repo) -> Reads:
    """Look at all code of the product; GateError for what does not parse, and for settings that do not exist."""
    schema = repo.schema
    code = product.read(repo, _commands(schema), schema.settings)
    reads = Reads(files=len(code.modules) + len(code.sources))
    by_place: dict[str, list[Read]] = {place: [] for place in code.modules}
    for read in environ.of(list(code.modules.values())):
        by_place[read.place].append(read)
        reads.keys |= _meant(read, schema)
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    defined = {node.name for each in code.modules.values() for node in each.nodes if isinstance(node, functions)}
    for place, module in code.modules.items():
        if place in schema.settings:
            reads.found += _declared(module, by_place[place], schema, defined)
        else:
            own = product.own(place)
            known = Counter(one.message for one in _past(own, environ.of([own]), schema, ())) if own else Counter()
            for one in _past(module, by_place[place], schema, defined):
                known[one.message] -= 1
                reads.found += [one] if known[one.message] < 0 else []
        readers = _readers(schema, place)
        for key, line, sure in _keys(module.nodes, schema):
            reads.keys.add(key)
            listed = schema.keys[key].services
            if sure and readers and set(readers).isdisjoint(listed):
                message = f"{' and '.join(readers)} reads it, and only {', '.join(listed)} get it"
                reads.found.append(finding(rules.UNLISTED, place, message, key=key, line=line))
    reads.keys |= {schema.keys[name].source for name in reads.keys}
    unread = schema.keys.keys() - reads.keys - _elsewhere(code, schema.keys.keys() - reads.keys)
    lines = matrix.schema_lines(repo)
    reads.found += [
        finding(rules.UNREAD, "config/schema.yaml", "no code reads it", key=name, line=lines.get(name, 1))
        for name in unread
        if not is_one(name, LIBRARIES)
    ]
    return reads


def _commands(schema: Schema) -> list[tuple[str, ...]]:
    """Return what starts the services and the jobs."""
    return [
        *(service.command for service in schema.services.values()),
        *(job.command for job in schema.jobs.values()),
    ]


def _readers(schema: Schema, place: str) -> tuple[str, ...]:
    """Return the services whose keys a file may read: those of the job that it is, or the one whose folder has it.

    There are none, and it may read every key, when two services start from the folder, or none does.
    """
    for job in schema.jobs.values():
        if place == f"{services.python_module(job.command).replace('.', '/')}.py":
            return job.keys
    modules = {name: services.python_module(about.command) for name, about in schema.services.items()}
    owners = [name for name, module in modules.items() if module.partition(".")[0] == place.partition("/")[0]]
    return tuple(owners) if len(owners) == 1 else ()


def _declared(
    module: Module, reads: Iterable[Read], schema: Schema, defined: Collection[str]
) -> Iterator[Finding]:
    """Yield what is wrong with the reads of a module that may read the environment by itself."""
    for read in reads:
        key = schema.keys.get(read.name)
        if read.sets or read.starts or read.renames:
            continue
        if not read.name:
            message = f"reads {read.how} in a way that does not say what is read"
            yield finding(rules.COMPUTED, module.place, message, line=read.line)
        elif key is None and not _is_given(read.name, schema):
            close = near(read.name, schema.keys)
            message = f"is read by {read.how}, and is not a key" + (f"; did you mean {close}?" if close else "")
            yield finding(rules.UNKNOWN, module.place, message, key=read.name, line=read.line)
        elif key is not None and key.secret and read.default:
            message = "has a default in clear, and is a secret"
            yield finding(rules.DEFAULT, module.place, message, key=read.name, line=read.line)
    for line, how in hidden.look(module, Names(module), defined):
        message = f"reads {how} in a way that does not say what is read"
        yield finding(rules.COMPUTED, module.place, message, line=line)


def _past(module: Module, reads: list[Read], schema: Schema, defined: Collection[str]) -> Iterator[Finding]:
    """Yield what reads the environment, or an env file, in a module that may not."""
    for read in reads:
        if not is_one(read.name, GIVEN) and not _is_inherited(read.name, schema):
            named = f"{read.name} by {read.how}" if read.name else read.how
            message = f"{'sets' if read.sets else 'reads'} {named}, past the loader"
            yield finding(rules.ENVIRON, module.place, message, key=read.name, line=read.line)
    for line, source in _imports(module, used=bool(reads)):
        yield finding(rules.ENVIRON, module.place, f"reads {source}, past the loader", line=line)
    for line, _ in _files(module):
        yield finding(rules.ENVIRON, module.place, "reads an env file, past the loader", line=line)
    for line, how in hidden.look(module, Names(module), defined):
        yield finding(rules.ENVIRON, module.place, f"reads {how}, past the loader", line=line)


def _imports(module: Module, *, used: bool) -> Iterator[tuple[int, str]]:
    """Yield each import of what reads the environment; `used` says that what is read by os is known."""
    for node in module.nodes:
        match node:
            case ast.ImportFrom(module="os", names=names):
                read = {"*"} if used else {*_OF_OS, "*"}
                yield from ((node.lineno, f"os.{alias.name}") for alias in names if alias.name in read)
            case ast.ImportFrom(module="pydantic" | "pydantic.v1", names=names):
                yield from ((node.lineno, "BaseSettings") for alias in names if alias.name == "BaseSettings")
            case ast.ImportFrom(module=str(name), names=names, level=0):
                full = (name, *(f"{name}.{alias.name}" for alias in names))
                yield from ((node.lineno, each) for each in full[:1] if _reader(each))
                yield from ((node.lineno, each) for each in full[1:] if each in _PARTS)
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names if _reader(alias.name))
            case ast.Call(func=func, args=[ast.Constant(value=str(name)), *_]) if _reader(name):
                if last(func) in ("__import__", "import_module"):
                    yield node.lineno, name


def _files(module: Module) -> Iterator[tuple[int, str]]:
    """Yield each name of an env file, or of what the kernel says of a process."""
    for node in module.nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _FILE.fullmatch(node.value):
            yield node.lineno, node.value


def _meant(read: Read, schema: Schema) -> set[str]:
    """Return the keys that a read reads."""
    if read.starts:
        return {key for key in schema.keys if key.startswith(read.name)}
    stem = read.name.removesuffix("_FILE")
    return {key for key in (read.name, stem) if key in schema.keys and not read.sets}


def _is_inherited(name: str, schema: Schema) -> bool:
    """Whether a job takes this variable from the shell of the person who runs it."""
    return any(name in job.inherits for job in schema.jobs.values())


def _is_given(name: str, schema: Schema) -> bool:
    """Whether a process is given a variable by others than us: by its system, or as a file in place of a key."""
    return is_one(name, GIVEN) or (name.endswith("_FILE") and name.removesuffix("_FILE") in schema.keys)


def _elsewhere(code: Code, keys: Iterable[str]) -> set[str]:
    """Return those keys that sources in other languages name, or that templates fill in."""
    names = "|".join(sorted(keys, key=len, reverse=True))
    if not names:
        return set()
    named, filled = re.compile(rf"\b(?:{names})\b"), re.compile(rf"(?:\$[{{(]?|ENV_)({names})\b")
    found = {name for text in code.sources.values() for name in named.findall(text)}
    return found | {name for text in code.templates.values() for name in filled.findall(text)}


def _keys(nodes: Iterable[ast.AST], schema: Schema) -> Iterator[tuple[str, int, bool]]:
    """Yield the keys that attributes name, and whether it is for sure a config that they belong to."""
    known = {key.lower(): key for key in schema.keys}
    loaded = _loaded(nodes)
    for node in nodes:
        if isinstance(node, ast.Attribute) and node.attr in known:
            yield known[node.attr], node.lineno, _is_config(node.value, loaded)
        elif isinstance(node, ast.Call) and last(node.func) == "getattr" and len(node.args) > 1:
            name = node.args[1].value if isinstance(node.args[1], ast.Constant) else None
            if isinstance(name, str) and name in known:
                yield known[name], node.lineno, _is_config(node.args[0], loaded)


def _loaded(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names that a module gives to what runtime.load() returns, or to a Config that it is handed."""
    names = set()
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=func)) if last(func) == "load":
                names.add(name)
            case ast.arg(arg=name, annotation=ast.expr() as kind) if last(kind) == "Config":
                names.add(name)
    return names


def _is_config(node: ast.expr, loaded: set[str]) -> bool:
    if isinstance(node, ast.Call):
        return last(node.func) == "load"
    return last(node) in loaded or bool(_CONFIGS.fullmatch(last(node)))


def _reader(module: str) -> bool:
    return module.partition(".")[0] in _READERS or module in _PARTS
