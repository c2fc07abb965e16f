"""Which files are the product's code: whatever may run in production, in Python or another language.

That is every file of the checkout but Lockstep's own, tests, documents, and scripts that a person runs: unless a
service is started by one of these, or code of the product imports or names it.
"""

import ast
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from ci.gates.parity.matrix import content
from ci.ground import git
from ci.ground.errors import GateError
from ci.ground.repo import Repo

_HERE = Path(__file__).resolve().parents[3]
_SKIPPED = frozenset({".git", ".local", ".tools", ".nox", "node_modules", "__pycache__"})  # and each venv
_LOCKSTEP = re.compile(r"(?:ci|runtime)/.*|run|tasks\.py|noxfile\.py")
_ASIDE = re.compile(
    r"(?:bench(?:marks?)?|docs?|examples|scripts|tools)/.*|setup\.py"
    r"|(?:config|secrets)/(?!.*\.py$).*"  # a Django project may have its settings in config/
    r"|(?:.*/)?(?:\.[^/]*(?:/.*)?|tests?/.*|test_[^/]*|[^/]*_test\.\w+|conftest\.py|tests\.py)"
)
_SOURCE = re.compile(
    r"(?:[cm]?[jt]sx?|vue|svelte|rb|erb|php|go|rs|java|kts?|scala|groovy|cs|fs|exs?|erl|pl|pm|lua|(?:ba|z|k)?sh|swift"
    r"|dart|cljs?|hs|mli?|cc?|cpp|h|hpp|nim|zig|jl|r)",
    re.IGNORECASE,
)
_FILLED = re.compile(r"(?:conf|cnf|cfg|ini|toml|xml|properties|ya?ml|j2|tm?pl|template)", re.IGNORECASE)
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_LONGEST = 1_000_000  # bytes of a file in another language: a longer one is a bundle, and not what a person wrote


@dataclass(frozen=True)
class Module:
    """One file of Python: its place, and its syntax, walked once."""

    place: str
    tree: ast.Module

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Every node of it."""
        return list(ast.walk(self.tree))

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """The node that each node is a part of."""
        return {child: node for node in self.nodes for child in ast.iter_child_nodes(node)}


@dataclass(frozen=True)
class Code:
    """The product's modules by place, and its text in other languages: sources, and files with ${KEY} in them."""

    modules: Mapping[str, Module]
    sources: Mapping[str, str]
    templates: Mapping[str, str]


def read(repo: Repo, commands: Iterable[Iterable[str]], settings: Sequence[str]) -> Code:
    """Read the product's code, given the commands of its services and jobs and the settings that it declares.

    Raises GateError for a file that cannot be read, for one of Python that does not parse, and for settings that
    do not exist.
    """
    places = listed(repo)
    for place in settings:
        if place not in places:
            raise GateError(f"{place} does not exist", "correct the list under `settings` in config/schema.yaml")
    places = [place for place in places if not _LOCKSTEP.fullmatch(place) or _is_changed(repo, place)]
    aside = {place for place in places if _ASIDE.fullmatch(place)}
    sources: dict[str, str] = {}
    templates: dict[str, str] = {}
    for place in places:
        if place not in aside and (kind := _kind(repo, place)) in ("source", "template"):
            text = content(repo, place)[:_LONGEST].decode(errors="replace")
            (sources if kind == "source" else templates)[place] = text
    words = {word for command in commands for word in command}
    named = {place for place in aside if any(place in text for text in sources.values() if text.startswith("#!"))}
    todo = {place for place in places if place not in aside and _kind(repo, place) == "python"}
    todo |= named | set(settings) | set(_named("", words, aside))
    modules: dict[str, Module] = {}
    while todo:
        place = todo.pop()
        if _kind(repo, place) != "python" and place not in settings:
            continue
        modules[place] = module = parse(repo, place)
        todo |= set(_named(place, _mentioned(module), aside)) - modules.keys()
    return Code(dict(sorted(modules.items())), sources, templates)


def parse(repo: Repo, place: str) -> Module:
    """Return a module; GateError when it is not Python."""
    try:
        return Module(place, ast.parse(content(repo, place), place))
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last is how deep the parser goes
        raise GateError(f"{place} is not Python", "fix its syntax: the gate must see what it reads") from None


def own(place: str) -> Module | None:
    """Return Lockstep's own module of a place in runtime/, as the checkout has it that this code is from."""
    path = _HERE / place
    known = place.startswith("runtime/") and path.is_file()
    return Module(place, ast.parse(path.read_bytes(), place)) if known else None


def _is_changed(repo: Repo, place: str) -> bool:
    """Whether a module in runtime/ is not the one that Lockstep brings, nor generated."""
    if not place.startswith("runtime/") or not place.endswith(".py") or place == "runtime/keys.py":
        return False
    path = _HERE / place
    return not path.is_file() or path.read_bytes() != content(repo, place)


def listed(repo: Repo) -> list[str]:
    """Return the places of the files: of a commit, or what git tracks or would take; without git, all of them.

    A product can be a folder of a larger repository; one that such a repository ignores is looked at whole.
    """
    root = repo.root
    if repo.commit:
        links = (git.LINK, git.MODULE)
        return sorted(place for place, version in repo.versions.items() if version.mode not in links)
    if any((folder / ".git").exists() for folder in (root, *root.resolve().parents)):
        # Only files of the checkout say what is ignored, and what is tracked is listed in any case.
        rows = git.Git(root)("ls-files", "-coz", "--exclude-per-directory=.gitignore").split(b"\0")
        places = {os.fsdecode(row) for row in rows if row and (root / os.fsdecode(row)).is_file()}
        if places:
            return sorted(places)
    return sorted(_walk(root))


def _walk(root: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        folders[:] = [
            name for name in folders if name not in _SKIPPED and not Path(folder, name, "pyvenv.cfg").exists()
        ]
        base = Path(folder).relative_to(root)
        yield from (str(base / name) for name in names if Path(folder, name).is_file())


def _kind(repo: Repo, place: str) -> str:
    """Return what a file is: python, a source in another language, a template, or nothing that reads a key."""
    suffix = PurePosixPath(place).suffix[1:]
    if suffix == "py":
        return "python"
    if _SOURCE.fullmatch(suffix):
        return "source"
    if _FILLED.fullmatch(suffix):
        return "template"
    if suffix or "." in PurePosixPath(place).name:
        return ""
    first = content(repo, place)[:200].partition(b"\n")[0]
    return ("python" if b"python" in first else "source") if first.startswith(b"#!") else ""


def _mentioned(module: Module) -> set[str]:
    """Return the modules and files that a module may run: those it imports, and those it has the names of."""
    names = set()
    for node in module.nodes:
        match node:
            case ast.Import(names=aliases):
                names |= {alias.name for alias in aliases}
            case ast.ImportFrom(module=base, names=aliases, level=level):
                start = "." * level + (base or "")
                names |= {start} | {
                    f"{start}{'' if start.endswith('.') else '.'}{alias.name}" for alias in aliases
                }
            case ast.Constant(value=str(text)) if "." in text:
                names.add(text)
    return names


def _named(place: str, words: Iterable[str], aside: set[str]) -> Iterator[str]:
    """Yield the files set aside that words of a module name: by their path, as a module, or a name in one."""
    folders = [str(folder) for folder in PurePosixPath(place).parents]
    for word in words:
        if word in aside or word.removeprefix("./") in aside:
            yield word.removeprefix("./")
        level = len(word) - len(word.lstrip("."))
        dotted = word[level:].partition(":")[0]
        if dotted and not _DOTTED.fullmatch(dotted):
            continue
        parts = dotted.split(".") if dotted else []
        for folder in folders[level - 1 : level] if level else (folders or ["."]):
            for end in range(len(parts) + 1):  # with the packages that it is in, for they run as well
                path = PurePosixPath(folder, *parts[:end])
                yield from {f"{path}.py", str(path / "__init__.py")} & aside
