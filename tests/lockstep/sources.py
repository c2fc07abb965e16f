"""Source files as syntax trees, and the names that they use."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
STARTS_PROGRAMS = re.compile(
    r"(?:.+\.)?(?:_posixsubprocess|subprocess|create_subprocess_\w+|subprocess_(?:exec|shell))(?:\..+)?"
    r"|(?:.+\.)?(?:multiprocessing|ProcessPoolExecutor)(?:\..+)?|concurrent\.futures\.process"
    r"|(?:os|posix)\.(?:system|popen|exec\w*|spawn\w*|posix_spawn\w*|fork\w*|\*)"
    r"|pty\.(?:spawn|fork|\*)|psutil\.Popen"
)
TALKS_TO_A_TERMINAL = re.compile(
    r"(?:builtins\.)?print|(?:builtins\.)?input\(\)|getpass\.(?:getpass|\*)"
    r"|sys\.(?:__)?(?:stdin|stdout|stderr)(?:__)?(?:\..+)?|sys\.\*|ci\.cli\.console(?:\..+)?"
)


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def core(path: Path) -> ast.Module:
    """Return a module without what makes it an entry point: main() and the block that calls it."""
    tree = parse(path)
    if path.name == "__main__.py":
        tree.body = []
    elif any(map(_is_guard, tree.body)):
        tree.body = [node for node in tree.body if not _is_guard(node) and not _is_main(node)]
    return tree


def defined(tree: ast.Module) -> Iterator[str]:
    """Yield the names that a module gives: to functions, classes, arguments and variables."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def names(tree: ast.Module) -> set[str]:
    """Return every name that a module imports or uses, in full: `from os import system as s` makes `s` os.system.

    A function that is called is there with (), also. So is a module that is imported by its name in a string.
    """
    known = _aliases(tree)
    found = set(imports(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            found.add(_full(node, known))
        elif isinstance(node, ast.Call):
            called = _full(node.func, known)
            found.add(f"{called}()")
            if called.endswith(("__import__", "import_module")):
                found |= {str(word.value) for word in node.args if isinstance(word, ast.Constant)}
    return found


def matching(pattern: re.Pattern[str], tree: ast.Module) -> list[str]:
    """Return the names of a module that fit a pattern."""
    return sorted(filter(pattern.fullmatch, names(tree)))


def _aliases(tree: ast.Module) -> dict[str, str]:
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            known |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return known


def _full(node: ast.expr, known: dict[str, str]) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_full(node.value, known)}.{node.attr}"
    return known.get(node.id, node.id) if isinstance(node, ast.Name) else "?"


def _is_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "__name__" in {
        each.id for each in ast.walk(node.test) if isinstance(each, ast.Name)
    }


def _is_main(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == "main"
