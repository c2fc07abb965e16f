"""The variables that the fields of classes of pydantic-settings stand for, also those of pydantic 1."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ci.gates.parity.product import Module
from ci.gates.parity.syntax import Names, argument_of, last


@dataclass(frozen=True)
class Field:
    """One variable: where its field is, its name (empty when unknown), and the text that the field has without it.

    `starts` says that the field takes each variable whose name begins so.
    """

    place: str
    line: int
    name: str
    default: str
    starts: bool


@dataclass(frozen=True)
class _Settings:
    """How a class makes variables of its fields; a prefix that is None cannot be known."""

    prefix: str | None = ""
    delimiter: str = ""
    cased: bool = False

    def variable(self, name: str) -> str:
        return name if self.cased else name.upper()


def fields(modules: Sequence[Module]) -> Iterator[Field]:
    """Yield the variables of every field of every class that derives from BaseSettings, in whatever module."""
    names = {module.place: Names(module) for module in modules}
    listed = [(module, node) for module in modules for node in module.nodes if isinstance(node, ast.ClassDef)]
    known: dict[str, _Settings] = {"BaseSettings": _Settings()}
    models, before = {"BaseModel", "BaseSettings"}, 0
    while before < len(known) + len(models):  # a class may be before its base, or in another module
        before = len(known) + len(models)
        for module, node in listed:
            bases = [last(base) for base in node.bases]
            models |= {node.name} if not models.isdisjoint(bases) or _is_dataclass(node) else set()
            if node.name not in known and (base := next((base for base in bases if base in known), None)):
                known[node.name] = _configured(node, known[base], names[module.place])
    for module, node in listed:
        for member in node.body if node.name in known else ():
            if isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name):
                for name, default, starts in _field(member, known[node.name], models, names[module.place]):
                    yield Field(module.place, member.lineno, name, default, starts)


def _configured(node: ast.ClassDef, settings: _Settings, names: Names) -> _Settings:
    """Return a class' settings: those of its base, with what its own config says."""
    for member in node.body:
        match member:
            case (
                ast.Assign(targets=[ast.Name(id="model_config")], value=value)
                | ast.AnnAssign(target=ast.Name(id="model_config"), value=value)
            ):
                pairs = _pairs(value)
            case ast.ClassDef(name="Config", body=body):
                pairs = {
                    target.id: one.value
                    for one in body
                    if isinstance(one, ast.Assign)
                    for target in one.targets
                    if isinstance(target, ast.Name)
                }
            case _:
                continue
        if "env_prefix" in pairs:
            texts = names.possible(pairs["env_prefix"])
            settings = replace(settings, prefix=min(texts) if texts else None)
        if "env_nested_delimiter" in pairs:
            settings = replace(settings, delimiter=min(names.possible(pairs["env_nested_delimiter"]) or {"_"}))
        cased = pairs.get("case_sensitive")
        settings = replace(settings, cased=cased.value is True) if isinstance(cased, ast.Constant) else settings
    return settings


def _pairs(value: ast.expr | None) -> dict[str, ast.expr]:
    if isinstance(value, ast.Call):
        return {keyword.arg: keyword.value for keyword in value.keywords if keyword.arg}
    if isinstance(value, ast.Dict):
        listed = zip(value.keys, value.values, strict=True)
        return {str(key.value): one for key, one in listed if isinstance(key, ast.Constant)}
    return {}


def _field(
    member: ast.AnnAssign, settings: _Settings, models: set[str], names: Names
) -> Iterator[tuple[str, str, bool]]:
    """Yield what sets one field: a variable, the field's text without it, and whether it is only its beginning."""
    parts, name = list(ast.walk(member.annotation)), last(member.target)
    kinds = {last(part) for part in parts}
    if name == "model_config" or name.startswith("_") or "ClassVar" in kinds:
        return
    calls = [part for part in (member.value, *parts) if isinstance(part, ast.Call)]
    described = [call for call in calls if last(call.func) == "Field"]
    aliases = [alias for call in described for alias in _aliases(call, names)]
    if not aliases:
        aliases = [None if settings.prefix is None else settings.prefix + name]
    given = [argument_of(call, ("default",), 0) for call in described]
    given += [] if member.value in described else [member.value]
    default = next((text for value in given for text in _texts(value, names)), "")
    for alias in aliases:
        variable, nested = settings.variable(alias) if alias else "", not models.isdisjoint(kinds)
        yield variable, default, bool(variable) and nested
        if variable and settings.delimiter and not nested:
            yield variable + settings.delimiter, "", True


def _aliases(call: ast.Call, names: Names) -> list[str | None]:
    """Return the names that a field has besides its own; None for one that cannot be known."""
    pairs = _pairs(call)
    value = next((pairs[word] for word in ("validation_alias", "alias", "env") if word in pairs), None)
    if value is None:
        return []
    listed: list[ast.expr] = [value]
    if isinstance(value, ast.Call) and last(value.func) == "AliasChoices":
        listed = list(value.args)
    elif isinstance(value, ast.List | ast.Tuple | ast.Set):
        listed = value.elts
    found: list[str | None] = []
    for one in listed:
        path = isinstance(one, ast.Call) and last(one.func) == "AliasPath"  # AliasPath("A", 0) is a part of A
        texts = names.possible(argument_of(one, (), 0) if isinstance(one, ast.Call) and path else one)
        found += sorted(texts) if texts else [None]
    return found


def _texts(value: ast.expr | None, names: Names) -> frozenset[str]:
    if isinstance(value, ast.Call) and value.args and last(value.func).startswith("Secret"):
        value = value.args[0]
    return names.possible(value) or frozenset()


def _is_dataclass(node: ast.ClassDef) -> bool:
    return any(last(one.func if isinstance(one, ast.Call) else one) == "dataclass" for one in node.decorator_list)
