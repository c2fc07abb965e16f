"""What names and texts mean in a module of Python, as far as its syntax tells."""

import ast
from collections.abc import Iterable, Mapping, Sequence
from itertools import product

from ci.gates.parity.product import Module

_IMPORTERS = ("__import__", "import_module", "resolve_name", "locate", "import_string")
_OS = ("os", "posix", "nt")
_MODULES = (*_OS, "os.path", "sys", "sys.modules", "importlib", "builtins", "ctypes", "subprocess", "asyncio")
ENVIRONMENT = frozenset({"environ", "environb", "getenv", "getenvb"})

Texts = Mapping[str, frozenset[str] | None]  # what a name may be; None when that cannot be known


class Names:
    """The names of a module: what each was imported as, and which texts it may be."""

    def __init__(self, module: Module) -> None:
        self.imported: dict[str, str] = {}
        self.stars: set[str] = set()
        self.texts: dict[str, frozenset[str] | None] = {}
        for node in module.nodes:
            match node:
                case ast.Import(names=aliases):
                    for alias in aliases:
                        name = alias.name if alias.asname else alias.name.partition(".")[0]
                        self.imported[alias.asname or name] = name
                case ast.ImportFrom(module=str(base), names=aliases):
                    self.stars |= {base for alias in aliases if alias.name == "*"}
                    self.imported |= {alias.asname or alias.name: f"{base}.{alias.name}" for alias in aliases}
        for _ in range(2):  # another name of another name
            for node in module.nodes:
                self._alias(node)
        if "os" in self.stars:
            self.imported |= {name: f"os.{name}" for name in ("environ", "environb", "getenv", "getenvb")}
        for node in module.nodes:
            self._bind(node)

    def qualified(self, node: ast.AST | None) -> str:
        """Return the name that an expression has where it is defined: os.environ; empty when it is not a name."""
        match node:
            case ast.Name(id=name):
                return _of_os(self.imported.get(name, name))
            case ast.NamedExpr(value=value):
                return self.qualified(value)
            case ast.Attribute(value=value, attr=attr):
                return self._member(value, attr)
            case ast.Call():
                return self._called(node)
            case ast.Subscript(value=owner, slice=name):
                return self._entry(owner, self._text(name))
        return ""

    def _called(self, node: ast.Call) -> str:
        """Return the name of what a call finds by its name."""
        match node:
            case ast.Call(func=func, args=[name, *_]) if last(func) in _IMPORTERS:
                return _of_os(self._text(name).replace(":", "."))
            case ast.Call(func=ast.Name(id="getattr"), args=[value, name, *_]):
                return self._member(value, self._text(name))
            case ast.Call(func=ast.Attribute(value=value, attr="__getattribute__"), args=[name]):
                return self._member(value, self._text(name))
            case ast.Call(func=ast.Attribute(value=owner, attr="get" | "__getitem__"), args=[name, *_]):
                return self._entry(owner, self._text(name))
        return ""

    def _member(self, value: ast.AST, attr: str) -> str:
        start = self.qualified(value) if attr else ""
        return _of_os(f"{start}.{attr}") if start else ""

    def _entry(self, owner: ast.AST, name: str) -> str:
        """Return what a module's dictionary, or that of all modules, has under a name."""
        match owner:
            case ast.Call(func=ast.Name(id="vars"), args=[value]) | ast.Attribute(value=value, attr="__dict__"):
                return self._member(value, name)
            case ast.Call(func=ast.Name(id="globals" | "locals" | "vars"), args=[]):
                return _of_os(self.imported.get(name, name))
        return _of_os(name) if name and self.qualified(owner) == "sys.modules" else ""

    def _text(self, node: ast.AST) -> str:
        texts = self.possible(node) or frozenset()
        return min(texts) if len(texts) == 1 else ""

    def _alias(self, node: ast.AST) -> None:
        """Note another name of a module through which the environment can be reached."""
        match node:
            case ast.Assign(targets=targets, value=value):
                names = [target.id for target in targets if isinstance(target, ast.Name)]
            case ast.NamedExpr(target=ast.Name(id=name), value=value):
                names = [name]
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                names = [name]
            case _:
                return
        if (full := self.qualified(value)) in _MODULES:
            self.imported |= dict.fromkeys(names, full)

    def possible(self, node: ast.AST | None, bound: Texts | None = None) -> frozenset[str] | None:
        """Return the texts that an expression may be, or None; `bound` are the texts of a function's arguments."""
        texts: frozenset[str] | None = None
        match node:
            case ast.Constant(value=str(text)):
                texts = frozenset([text])
            case ast.Constant(value=bytes(data)):
                texts = frozenset([data.decode(errors="replace")])
            case ast.Name(id=name):
                texts = bound[name] if bound and name in bound else self.texts.get(name)
            case ast.FormattedValue(value=value, conversion=-1, format_spec=None):
                texts = self.possible(value, bound)
            case ast.JoinedStr(values=parts):
                texts = _joined(self.possible(part, bound) for part in parts)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                texts = _joined(self.possible(part, bound) for part in (left, right))
            case ast.IfExp(body=body, orelse=other):
                first, second = self.possible(body, bound), self.possible(other, bound)
                texts = None if first is None or second is None else first | second
            case ast.Call(func=ast.Attribute(value=value, attr="upper" | "lower" as change), args=[], keywords=[]):
                texts = self.possible(value, bound)
                texts = texts and frozenset(getattr(text, change)() for text in texts)
        return texts

    def members(self, node: ast.AST | None) -> frozenset[str] | None:
        """Return the texts in a list that is written out, or None."""
        match node:
            case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts) if parts:
                texts = [self.possible(part) for part in parts]
                known = [text for text in texts if text is not None]
                return frozenset[str]().union(*known) if len(known) == len(texts) else None
        return None

    def _bind(self, node: ast.AST) -> None:
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self._may_be(target, self.possible(value))
            case ast.AnnAssign(target=target, value=value) if value:
                self._may_be(target, self.possible(value))
            case ast.AugAssign(target=target) | ast.NamedExpr(target=target):
                self._may_be(target, None)
            case ast.For(target=target, iter=values) | ast.comprehension(target=target, iter=values):
                self._may_be(target, self.members(values))

    def _may_be(self, target: ast.AST, texts: frozenset[str] | None) -> None:
        for node in ast.walk(target):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                known = self.texts.get(node.id, frozenset())
                unknown = node is not target or known is None or texts is None
                self.texts[node.id] = None if unknown else (known or frozenset()) | (texts or frozenset())


def _of_os(name: str) -> str:
    """Return the name of what os has, by whatever module it was reached: shutil.os.environ is os.environ."""
    parts = name.replace("posixpath.", "os.path.").replace("ntpath.", "os.path.").split(".")
    for index in range(len(parts) - 1, -1, -1):
        if parts[index] in _OS and (index == len(parts) - 1 or {parts[index + 1]} <= {*ENVIRONMENT, "path"}):
            return ".".join(parts[index:])
    return name


def last(node: ast.AST | None) -> str:
    """Return the last part of a name: get of os.environ.get; empty when an expression is not a name."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def argument_of(node: ast.Call, keywords: Sequence[str], index: int | None) -> ast.expr | None:
    """Return an argument of a call, by a keyword or its index."""
    named = (keyword.value for keyword in node.keywords if keyword.arg in keywords)
    given = node.args[index] if index is not None and 0 <= index < len(node.args) else None
    return given or next(named, None)


def _joined(parts: Iterable[frozenset[str] | None]) -> frozenset[str] | None:
    known = []
    for part in parts:
        if part is None:
            return None
        known.append(part)
    return frozenset(map("".join, product(*known)))
