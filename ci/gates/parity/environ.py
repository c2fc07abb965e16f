"""What modules read from the environment by themselves, by the syntax of the libraries that do it.

Known are os, django-environ, environs, python-decouple, envparse, starlette, pydantic-settings, dj-database-url
and its relatives, Flask's from_envvar and Click's envvar. A function that takes a name and reads the variable is
known by its calls.
"""

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from ci.gates.parity import classes, libraries
from ci.gates.parity.product import Module
from ci.gates.parity.syntax import Names, argument_of, last

Evaluate = Callable[[frozenset[str]], frozenset[str] | None]


@dataclass(frozen=True)
class Read:
    """One read: the module's place and line, the variable, and by what it is read; `name` is empty when unknown.

    `starts` says that every variable is read whose name begins with `name`; `default`, that the code has a text to
    take in its place; `sets`, that the variable is set and not read.
    """

    place: str
    line: int
    name: str
    how: str
    default: bool = False
    starts: bool = False
    sets: bool = False
    renames: bool = False  # given another name, by which this module's reads are known, and not those of others


@dataclass(frozen=True)
class _Reader:
    """An object that reads what it is called with, or has a method called with; it puts the prefix before it."""

    how: str
    prefix: str = ""


_NONE = _Reader("")


@dataclass(frozen=True)
class _Site:
    """A place that reads what an expression names; `names` makes the variables of the expression's texts.

    `trail` are the functions that were followed to it.
    """

    node: ast.expr
    name: ast.AST | None
    how: str
    default: bool = False
    sets: bool = False
    names: Evaluate = field(default=lambda texts: texts)
    trail: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Helper:
    """A function that reads what one of its parameters names: at this index, or without it by this default.

    `owner` is the class that it is a method of.
    """

    name: str
    place: str
    owner: str
    parameter: str
    index: int
    fallback: ast.AST | None
    names: Evaluate
    how: str
    trail: tuple[str, ...]


def of(modules: Sequence[Module]) -> list[Read]:
    """Return what modules read, which share their readers and functions, in the order of the modules."""
    parts = [_Part(module) for module in modules]
    readers = {name: reader for part in parts for name, reader in part.readers.items()}
    made = {name: kind for part in parts for name, kind in part.made.items()}
    for part in parts:
        part.take(readers, made)
    reads = [read for part in parts for read in (*part.wholes(), *part.declared())]
    reads += [
        Read(field.place, field.line, field.name, "BaseSettings", _tells(field.default), field.starts)
        for field in classes.fields(modules)
    ]
    sites = [(part, site) for part in parts for site in part.sites()]
    followed = set()
    while sites:
        part, site = sites.pop()
        helper = part.helper(site)
        if helper is None:
            reads += part.read(site)
        elif helper.name not in site.trail and helper.trail not in followed:
            followed.add(helper.trail)
            calls = [(other, call) for other in parts for call in other.calls(helper)]
            sites += calls or [(part, replace(site, name=None))]
    order = {module.place: number for number, module in enumerate(modules)}
    return sorted(set(reads), key=lambda read: (order[read.place], read.line, read.name))


class _Part:
    """One module, and the objects in it that read the environment, by name."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.names = Names(module)
        self.readers: dict[str, _Reader] = {}
        self.shared: dict[str, _Reader] = {}
        self.made: dict[str, str] = {}  # the class of what a name was made of
        for node in module.nodes:
            match node:
                case ast.Assign(targets=[target], value=value) | ast.AnnAssign(target=target, value=value):
                    self._bind(target, value)

    def take(self, shared: Mapping[str, _Reader], made: Mapping[str, str]) -> None:
        """Take the readers and objects that the module imports from others: by their names, or all by a star."""
        imported = {local: full.rpartition(".")[2] for local, full in self.names.imported.items()}
        taken = {local: shared[name] for local, name in imported.items() if name in shared}
        self.shared = dict(shared)
        self.made = {local: made[name] for local, name in imported.items() if name in made} | self.made
        self.readers = (self.shared if self.names.stars else {}) | taken | self.readers

    def sites(self) -> Iterator[_Site]:
        """Yield each read of one variable."""
        for node in self.module.nodes:
            match node:
                case ast.Call():
                    yield from self._called(node)
                case ast.Subscript(value=value, slice=name, ctx=context) if how := self._mapping(value):
                    yield _Site(node, name, how, sets=not isinstance(context, ast.Load))
                case ast.Compare(left=name, ops=[ast.In() | ast.NotIn()], comparators=[value]):
                    if how := self._mapping(value) or (self._reader(value) or _NONE).how:
                        yield _Site(node, name, how)

    def wholes(self) -> Iterator[Read]:
        """Yield each use of the whole environment: what is read of it cannot be known."""
        for node in self.module.nodes:
            if not isinstance(node, ast.Name | ast.Attribute | ast.Call | ast.Subscript):
                continue
            if not isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
                continue
            how, full, renames = self._mapping(node), self.names.qualified(node), self._is_renamed(node)
            if not how and full in (*libraries.FUNCTIONS, *libraries.EXPANDERS):
                how = full
            if how and not self._taken_apart(node):
                yield Read(self.module.place, node.lineno, "", how, renames=renames)
            elif full in libraries.MODULES and self._is_handed_on(node):
                yield Read(self.module.place, node.lineno, "", f"the module {full}", renames=renames)

    def declared(self) -> Iterator[Read]:
        """Yield what a reader is told when it is made, Env(DEBUG=(bool, False)), and what is read by a prefix."""
        for node in self.module.nodes:
            if not isinstance(node, ast.Call):
                continue
            how, place, line = self.names.qualified(node.func), self.module.place, node.lineno
            if how in ("environ.Env", "environ.FileAwareEnv"):
                for keyword in node.keywords:
                    if keyword.arg:
                        yield Read(place, line, keyword.arg, how, self._clear(keyword.value))
            for name, (argument, index, usual) in libraries.PREFIXED.items():
                if last(node.func) == name:
                    given = argument_of(node, (argument,), index)
                    for start in (self.names.possible(given) if given else frozenset([usual])) or {""}:
                        yield Read(place, line, f"{start}_" if start else "", name, starts=bool(start))

    def read(self, site: _Site) -> Iterator[Read]:
        """Yield the reads of a site: one for each variable that it may be, or one of which nothing is known."""
        texts = self.names.possible(site.name)
        if texts is None and isinstance(site.name, ast.Name):
            texts = self.names.members(site.name)
        names = None if texts is None else site.names(texts)
        above = self.module.parents.get(site.node)
        default = site.default or (
            isinstance(above, ast.BoolOp)
            and any(self._clear(value) for value in above.values if value is not site.node)
        )
        for name in names or {""}:
            yield Read(self.module.place, site.node.lineno, name, site.how, default, sets=site.sets)

    def helper(self, site: _Site) -> _Helper | None:
        """Return the function around a site of which a parameter says what is read, if there is one."""
        words = {node.id for node in ast.walk(site.name) if isinstance(node, ast.Name)} if site.name else set()
        node: ast.AST = site.node
        while words and (node := self.module.parents.get(node, self.module.tree)) is not self.module.tree:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                for index, parameter in enumerate(given):
                    if parameter.arg in words:
                        return self._followed(site, node, index, parameter.arg)
        return None

    def calls(self, helper: _Helper) -> Iterator[_Site]:
        """Yield each call of a function that reads what it is told, and each place that hands the function on."""
        for node in self.module.nodes:
            if not isinstance(node, ast.Name | ast.Attribute) or last(node) != helper.name:
                continue
            above = self.module.parents.get(node)
            if not isinstance(node.ctx, ast.Load) or not self._may_be(node, helper):
                continue
            if not isinstance(above, ast.Call) or above.func is not node:
                yield _Site(node, None, helper.name, trail=helper.trail)
                continue
            index = helper.index - (bool(helper.owner) and isinstance(node, ast.Attribute))
            name = argument_of(above, (helper.parameter,), index) or helper.fallback
            default = self._default(above, index)
            yield _Site(above, name, helper.how, default, names=helper.names, trail=helper.trail)

    def _may_be(self, node: ast.Name | ast.Attribute, helper: _Helper) -> bool:
        """Whether a name is the function's: defined in this module or imported, or of an object of its class."""
        here = helper.place == self.module.place
        if isinstance(node, ast.Name):
            return not helper.owner and (here or bool(self.names.stars) or node.id in self.names.imported)
        owner = node.value.func if isinstance(node.value, ast.Call) else node.value
        if helper.owner:
            return (here and last(owner) in ("self", "cls")) or helper.owner in (
                last(owner),
                self.made.get(last(owner)),
            )
        return last(owner) in self.names.imported

    def _bind(self, target: ast.AST, value: ast.AST | None) -> None:
        """Note that a name is a reader, or another name of what reads the environment."""
        name, how = last(target), self.names.qualified(value)
        if isinstance(value, ast.Call):
            self.made[name] = last(value.func)
        if isinstance(target, ast.Name) and how in (
            *libraries.MAPPINGS,
            *libraries.FUNCTIONS,
            *libraries.MADE,
            *libraries.READERS,
        ):
            self.names.imported[name] = how
        elif isinstance(value, ast.Call) and (how := self.names.qualified(value.func)) in libraries.READERS:
            prefix = self.names.possible(argument_of(value, ("prefix", "env_prefix"), None)) or frozenset([""])
            self.readers[name] = _Reader(how, min(prefix))
        elif isinstance(target, ast.Attribute) and name == "prefix" and (reader := self._reader(target.value)):
            texts = self.names.possible(value) or frozenset([""])
            self.readers[last(target.value)] = _Reader(reader.how, min(texts))

    def _called(self, node: ast.Call) -> Iterator[_Site]:
        how, first = self.names.qualified(node.func), argument_of(node, libraries.NAMING, 0)
        yield from (
            _Site(node, name, "envvar")
            for keyword in node.keywords
            if keyword.arg == "envvar"
            for name in (
                keyword.value.elts if isinstance(keyword.value, ast.List | ast.Tuple) else [keyword.value]
            )
        )
        if how in libraries.FUNCTIONS or last(node.func) == "from_envvar":
            yield _Site(node, first, how if how in libraries.FUNCTIONS else "from_envvar", self._default(node, 0))
        elif how in libraries.EXPANDERS:
            yield _Site(node, first, how, names=_expanded)
        elif how in libraries.CONFIGS:
            name = argument_of(node, ("env",), 0) or ast.Constant(libraries.CONFIGS[how])
            yield _Site(node, name, how, self._default(node, 0))
        elif reader := self._reader(node.func):
            yield self._asked(node, first, reader)
        elif isinstance(node.func, ast.Attribute):
            method, owner = node.func.attr, node.func.value
            if (how := self._mapping(owner)) and method in libraries.SETTERS:
                yield _Site(node, first if method != "update" else None, how, sets=True)
            elif how and method in libraries.GETTERS:
                yield _Site(node, first, how, self._default(node, 0))
            elif (reader := self._reader(owner)) and not libraries.OTHER.fullmatch(method):
                usual = ast.Constant(libraries.UNNAMED[method]) if method in libraries.UNNAMED else None
                yield from [self._asked(node, first or usual, reader)] if first or usual else []

    def _asked(self, node: ast.Call, name: ast.AST | None, reader: _Reader) -> _Site:
        """Return the site of a reader's call; within `with env.prefixed(…)` the prefix is the name's beginning."""
        prefix, above = "", self.module.parents.get(node)
        while above:
            for item in above.items if isinstance(above, ast.With) else ():
                call = item.context_expr
                if isinstance(call, ast.Call) and last(call.func) == "prefixed":
                    prefix = min(self.names.possible(argument_of(call, ("prefix",), 0)) or {""}) + prefix
            above = self.module.parents.get(above)
        start = reader.prefix + prefix
        return _Site(
            node,
            name,
            reader.how,
            self._default(node, 0),
            names=lambda texts: frozenset(start + text for text in texts),
        )

    def _followed(
        self, site: _Site, function: ast.FunctionDef | ast.AsyncFunctionDef, index: int, parameter: str
    ) -> _Helper:
        def names(texts: frozenset[str]) -> frozenset[str] | None:
            known = self.names.possible(site.name, {parameter: texts})
            return None if known is None else site.names(known)

        positional = [*function.args.posonlyargs, *function.args.args]
        defaults = dict(
            zip(reversed([one.arg for one in positional]), reversed(function.args.defaults), strict=False)
        )
        trail = (*site.trail, function.name, ast.dump(site.name) if site.name else "")
        above = self.module.parents[function]
        bound = positional and positional[0].arg in ("self", "cls")
        owner = above.name if isinstance(above, ast.ClassDef) and bound else ""
        return _Helper(
            function.name,
            self.module.place,
            owner,
            parameter,
            index,
            defaults.get(parameter),
            names,
            site.how,
            trail,
        )

    def _mapping(self, node: ast.AST) -> str:
        """Return what an expression is called that is the environment itself; empty when it is not."""
        how = self.names.qualified(node)
        if how in libraries.MAPPINGS:
            return how
        own = isinstance(node, ast.Attribute) and node.attr == "ENVIRON" and self._reader(node.value)
        return "Env.ENVIRON" if own else ""

    def _reader(self, node: ast.AST) -> _Reader | None:
        """Return the reader that an expression is, if it is one."""
        if (how := self.names.qualified(node)) in libraries.MADE:
            return _Reader(how)
        if isinstance(node, ast.Name):
            return self.readers.get(node.id)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id in ("self", "cls"):
                return self.readers.get(node.attr)
            return self.shared.get(node.attr) if node.value.id in self.names.imported else None
        return None

    def _taken_apart(self, node: ast.AST) -> bool:
        """Whether the environment is only asked for variables there, or given another name."""
        above = self.module.parents.get(node)
        beyond = self.module.parents.get(above) if above else None
        match above:
            case ast.Attribute(attr=attr):
                return (
                    attr in (*libraries.GETTERS, *libraries.SETTERS)
                    and isinstance(beyond, ast.Call)
                    and beyond.func is above
                )
            case ast.Call(func=func):
                return func is node
            case ast.Compare():
                return node in above.comparators
            case ast.Subscript(value=value):
                return value is node
        return False

    def _is_renamed(self, node: ast.AST) -> bool:
        above = self.module.parents.get(node)
        return isinstance(above, ast.Assign | ast.AnnAssign | ast.NamedExpr) and above.value is node

    def _is_handed_on(self, node: ast.expr) -> bool:
        """Whether a module is used as a whole, so that its variables can be read where nobody sees it."""
        if isinstance(node, ast.Name) and node.id not in self.names.imported:
            return False
        match self.module.parents.get(node):
            case ast.Attribute() | ast.alias():
                return False
            case ast.Call(func=ast.Name(id="hasattr" | "getattr"), args=[first, name, *_]) if first is node:
                return self.names.possible(name) is None  # what is known is read, or not of the environment
        return True

    def _default(self, node: ast.Call, index: int) -> bool:
        """Whether a call has a text to take in place of the variable, beside the argument that names it."""
        values = [value for number, value in enumerate(node.args) if number != index]
        values += [keyword.value for keyword in node.keywords if keyword.arg in ("default", "fallback")]
        return any(map(self._clear, values))

    def _clear(self, node: ast.AST) -> bool:
        """Whether an expression is a text that is written out, and may be a secret."""
        match node:
            case ast.Tuple(elts=[_, *values]):
                return any(map(self._clear, values))
            case ast.Call(func=func, args=[value, *_]) if last(func) in (
                "SecretStr",
                "SecretBytes",
                "Secret",
                "str",
            ):
                return self._clear(value)
            case ast.JoinedStr(values=parts):
                return _tells("".join(str(part.value) if isinstance(part, ast.Constant) else "" for part in parts))
        return any(map(_tells, self.names.possible(node) or ()))


def _expanded(texts: frozenset[str]) -> frozenset[str]:
    """Return the variables that texts name as $NAME or ${NAME}."""
    return frozenset(name for text in texts for name in re.findall(r"\$\{?(\w+)", text))


def _tells(text: str) -> bool:
    """Whether a text may be a secret: an empty one is not, nor a URL without a password."""
    if "://" not in text:
        return bool(text.strip())
    try:
        return bool(urlsplit(text).password)
    except ValueError:
        return True
