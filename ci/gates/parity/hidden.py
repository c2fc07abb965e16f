"""Ways to the environment beside the functions of os: by C, the kernel, a child, a text that is run."""

import ast
import re
from collections.abc import Collection, Iterator

from ci.gates.parity.product import Module
from ci.gates.parity.syntax import ENVIRONMENT, Names, last

_OF_C = {"ctypes", "cffi", "_ctypes", "_cffi_backend"}
_FUNCTIONS = {"getenv", "getenvb", "environb", "secure_getenv", "_createenviron"}
_SYMBOLS = ENVIRONMENT | {"secure_getenv", "__environ", "_environ"}
_LOOK_UP = {"getattr", "attrgetter", "getattr_static", "__getattribute__", "methodcaller", "in_dll"}
_DYNAMIC = {"modules", "globals", "locals", "vars", "__import__", "import_module", "resolve_name", "locate"}
_DYNAMIC |= {"getattr", "__builtins__", "__dict__", "import_string", "loader", "Process", "get_objects"}
_DOTTED = re.compile(r"(?:[\w.]+[.:])?(?:os|posix|nt)[.:](?:environb?|getenvb?)(?:\W.*)?")
_RUN = {"eval", "exec", "compile", "literal_eval", "run_string"}
_CHILD = re.compile(
    r"subprocess\..+|os\.(?:system|popen|exec\w+|spawn\w+|posix_spawnp?)|asyncio\..*subprocess\w*|pty\.spawn"
)
_ENV = re.compile(r"(?:\S*/)?(?:env|printenv)")
_COMMAND = re.compile(
    r"(?:^|[\s;&|(`])(?:\S*/)?(?:printenv|env|export\s+-p|declare\s+-x|set\s*(?:[|>;&]|$))(?=$|[\s;&|)>`])"
    r"|\$\{?[A-Za-z_]|environ\b|getenv\b|%[A-Z_]+%"
)
_PROC = re.compile(r"/proc(?:/.*)?", re.DOTALL)
_OF_PROC = re.compile(r"(?:.*/)?environ")


def look(module: Module, names: Names, defined: Collection[str]) -> Iterator[tuple[int, str]]:
    """Yield the line and the words for each such way; `defined` are functions of the product by their names."""
    in_c = any(full.partition(".")[0] in _OF_C for full in names.imported.values())
    for node in module.nodes:
        if names.qualified(node).startswith("os."):
            continue  # known by what it reads
        match node:
            case ast.Attribute(attr=attr, value=value):
                if attr in _FUNCTIONS - set(defined) or (attr == "environ" and _is_dynamic(value)):
                    yield node.lineno, f"the environment by .{attr}"
            case ast.Constant(value=str() | bytes() as value):
                text = value if isinstance(value, str) else value.decode(errors="replace")
                if (in_c and text in _SYMBOLS) or (_DOTTED.fullmatch(text) and _is_argument(module, node)):
                    yield node.lineno, f"the environment by the name {text.partition(' ')[0]}"
            case ast.Call(func=func):
                yield from _called(node, last(func), names.qualified(func))
            case ast.Subscript(value=value, slice=ast.Constant(value=str(text))):
                if text in _SYMBOLS and _is_dynamic(value):
                    yield node.lineno, f"the environment by the name {text}"
    yield from _kernel(module, names)


def _called(node: ast.Call, function: str, qualified: str) -> Iterator[tuple[int, str]]:
    constants = (each.value for each in ast.walk(node) if isinstance(each, ast.Constant))
    texts = [value for value in constants if isinstance(value, str)]
    if any(keyword.arg == "auto_envvar_prefix" for keyword in node.keywords):
        yield node.lineno, "variables by auto_envvar_prefix"
    if function in _LOOK_UP and any(text.partition(".")[0] in _SYMBOLS for text in texts):
        yield node.lineno, f"the environment by {function}"
    elif function == "get" and texts[:1] and texts[0] in _SYMBOLS and _is_dynamic(node.func):
        yield node.lineno, f"the environment by the name {texts[0]}"
    elif function in _RUN and any(re.search(r"environ|getenv", text) for text in texts):
        yield node.lineno, f"the environment by {function}"
    elif _CHILD.fullmatch(qualified) and (any(map(_COMMAND.search, texts)) and _is_command(node, texts)):
        yield node.lineno, f"the environment by a child of {qualified}"


def _is_command(node: ast.Call, texts: list[str]) -> bool:
    """Whether a text is run by a shell, or is the program: the word env among its arguments means nothing."""
    first = node.args[0] if node.args else None
    listed = first.elts if isinstance(first, ast.List | ast.Tuple) else []
    if listed and "-c" not in texts and not any(keyword.arg == "shell" for keyword in node.keywords):
        program = listed[0].value if isinstance(listed[0], ast.Constant) else ""
        return isinstance(program, str) and bool(_ENV.fullmatch(program))
    return True


def _kernel(module: Module, names: Names) -> Iterator[tuple[int, str]]:
    """Yield what names the file in which the kernel shows a process' environment, in one text or in its parts."""
    below, files = False, []
    for node in module.nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            below |= bool(_PROC.match(node.value))
            files += [node] if _OF_PROC.fullmatch(node.value) else []
        elif isinstance(node, ast.BinOp | ast.JoinedStr):
            texts = names.possible(node) or ()
            if any(_PROC.match(text) and _OF_PROC.fullmatch(text) for text in texts):
                yield node.lineno, "the environment of a process in /proc"
    yield from ((node.lineno, "the environment of a process in /proc") for node in files if below)


def _is_dynamic(node: ast.AST) -> bool:
    """Whether an expression finds a module or an object by its name."""
    calls = isinstance(node, ast.Call | ast.Subscript | ast.Attribute)
    return calls and any(last(each) in _DYNAMIC for each in ast.walk(node))


def _is_argument(module: Module, node: ast.AST) -> bool:
    return isinstance(module.parents.get(node), ast.Call)
