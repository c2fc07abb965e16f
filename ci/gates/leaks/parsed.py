"""Names and values of files that have a structure: YAML and JSON (Kubernetes and notebooks among them), and XML.

A parsed file also says which of its lines hold such pairs, so that nobody reads these again as lines of unknown
text.
"""

import base64
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from xml.parsers import expat

import yaml

from ci.gates.finding import Rule
from ci.gates.leaks import rules
from ci.gates.leaks.judge import Candidate
from ci.gates.leaks.names import Kind, kind

LARGEST = 2_000_000  # bytes of a file that is parsed; a larger one is read line by line
DEEPEST = 100  # levels of a file that is parsed
_YAML = re.compile(r"(?i)\.(?:ya?ml|json|json5?|ipynb|tfstate|webmanifest|har|avsc|arb)$")
_XML = re.compile(r"(?i)\.(?:xml|config|csproj|props|xaml|plist|pom|wsdl|settings|xhtml|jmx|resx)$")
_HELD = frozenset(
    (
        "value",
        "val",
        "default",
        "content",
        "text",
        "data",
        "current_value",
        "stringvalue",
        "string_value",
        "raw",
        "plaintext",
        "_value",
        "$",
        "#text",
        "defaultvalue",
        "default_value",
    )
)  # members that hold the value of the name above them
_NAMED = (
    "name",
    "key",
    "id",
    "variable",
    "field",
    "header",
    "parametername",
    "parameter_name",
    "parameterkey",
    "property",
)
_SEALED = frozenset(("encrypteddata", "sops", "metadata_sops"))

Bound = Callable[[str], tuple[Rule, str] | None]


@dataclass
class Parsed:
    """What a file holds: candidates, the lines that were read so, and texts within it with the line they start at."""

    candidates: list[Candidate] = field(default_factory=list)
    lines: set[int] = field(default_factory=set)
    texts: list[tuple[int, str]] = field(default_factory=list)


@dataclass
class _Node:
    """A mapping or a list that is being read: its name, and the scalars of a mapping by their keys."""

    name: str
    mapping: bool
    key: tuple[str, int] | None = None
    scalars: dict[str, tuple[str, int, int, bool]] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)


def parse(text: bytes, path: str, bound: Bound) -> Parsed | None:
    """Return what a structured file holds, or None when it is not one, or cannot be parsed."""
    if len(text) > LARGEST:
        return None
    try:
        if _YAML.search(path):
            return _documents(text, bound, notebook=path.lower().endswith(".ipynb"))
        if _XML.search(path) or text.lstrip()[:5] == b"<?xml":
            return _elements(text, bound)
    except (yaml.YAMLError, ValueError, expat.ExpatError, RecursionError):
        return None
    return None


def _documents(text: bytes, bound: Bound, *, notebook: bool) -> Parsed:
    """Read YAML, of which JSON is a part, event by event: aliases are not followed, and nothing is built."""
    result = Parsed()
    stack: list[_Node] = []
    source: list[tuple[str, int]] = []
    top: dict[str, str] = {}
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for event in yaml.parse(text.decode(), Loader=loader):
        if isinstance(event, yaml.DocumentStartEvent):
            top = {}
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            name = _name_here(stack)
            stack.append(_Node(name, isinstance(event, yaml.MappingStartEvent)))
            if len(stack) > DEEPEST:
                raise ValueError
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            node = stack.pop()
            if node.mapping:
                result.candidates += _members(node, bound)
            elif source:
                _flush(source, result)
        elif isinstance(event, yaml.ScalarEvent) and stack:
            first, last = (mark.line if mark else 0 for mark in (event.start_mark, event.end_mark))
            node = stack[-1]
            if node.mapping and node.key is None:
                node.key = (event.value, first)
                continue
            if notebook and not node.mapping and node.name in ("source", "text", "text/plain"):
                source.append((event.value, first))
                result.lines.add(first)
                continue
            if len(stack) == 1 and node.key:
                top[node.key[0]] = event.value
            _scalar(event, first, last, stack, top, bound, result)
            if node.mapping and node.key:
                node.scalars[node.key[0].lower()] = (event.value, node.key[1], last, bool(event.style))
                node.key = None
            continue
        elif isinstance(event, yaml.AliasEvent) and stack and stack[-1].mapping:
            stack[-1].key = None if stack[-1].key else ("", 0)
    return result


def _name_here(stack: list[_Node]) -> str:
    """Return the name of a collection that begins now; one without a name has that of what it is in."""
    if not stack:
        return ""
    node = stack[-1]
    if node.mapping:
        name = node.key[0] if node.key else ""
        node.key = None
        return name
    return node.name


def _scalar(
    event: yaml.ScalarEvent,
    first: int,
    last: int,
    stack: list[_Node],
    top: dict[str, str],
    bound: Bound,
    result: Parsed,
) -> None:
    node = stack[-1]
    name = node.key[0] if node.mapping and node.key else node.name
    start = node.key[1] if node.mapping and node.key else first
    if any(each.name.lower() in _SEALED for each in stack):
        result.lines.update(range(start, last + 1))
        return
    several = "\n" in event.value.strip()
    if several:
        result.texts.append((first + (1 if event.style in ("|", ">") else 0), event.value))
    if event.style in ("|", ">"):
        last = max(first + 1, last - 1)
    secret = top.get("kind") == "Secret" and len(stack) == 2 and node.name in ("data", "stringData")
    if secret and node.mapping:
        result.lines.update(range(start, last + 1))
        result.candidates += _kubernetes(name, event.value, start, last, node.name, bound)
        return
    if re.fullmatch(r"[\w.$-]+=.*", event.value) and not node.mapping:  # - NAME=value
        return
    if node.name and name.lower() in _HELD and node.mapping:
        name = node.name if kind(name) is Kind.NONE else name
    if not several and (last - start < 2 or event.style in ("|", ">")):
        result.lines.update(range(start, last + 1))
    named = bound(name)
    if named:
        value = _longest(event.value) if several else event.value
        result.candidates.append(Candidate(named[0], named[1], value, start, last, first=several))


def _longest(value: str) -> str:
    return max(value.split("\n"), key=len)


def _kubernetes(name: str, value: str, start: int, last: int, under: str, bound: Bound) -> Iterator[Candidate]:
    """Give a member of a Secret: every value that its base64 says, or that stands there in clear."""
    if under == "data":
        try:
            value = base64.b64decode(value, validate=True).decode(errors="replace")
        except ValueError:
            return
    named = bound(name)
    rule, called = named or (
        rules.PAIR,
        f"secret_{name}" if kind(name) is Kind.NONE and kind(f"{name}_secret") else name,
    )
    if rule is rules.ASSIGNMENT:
        rule = rules.PAIR
    if not named:
        called = "secret"
    yield Candidate(rule, called, value.strip().split("\n")[0], start, last)


def _members(node: _Node, bound: Bound) -> Iterator[Candidate]:
    """Give a name and a value that are two members of a mapping."""
    for word in _NAMED:
        if word not in node.scalars:
            continue
        name = node.scalars[word][0]
        named = bound(name) or ((rules.PAIR, name) if name.lower().endswith("_url") else None)
        if not named:
            continue
        rule = rules.PAIR if named[0] is rules.ASSIGNMENT else named[0]
        for held in (
            "value",
            "val",
            "default",
            "content",
            "defaultvalue",
            "default_value",
            "currentvalue",
            "parametervalue",
            "parameter_value",
            "text",
        ):
            if held in node.scalars:
                value, first, last, _ = node.scalars[held]
                yield Candidate(
                    rule, named[1], value, min(first, node.scalars[word][1]), max(last, node.scalars[word][2])
                )
    key_type = node.scalars.get("kty")
    if key_type:
        for part in ("d", "k"):
            if part in node.scalars:
                value, first, last, _ = node.scalars[part]
                yield Candidate(rules.ASSIGNMENT, "private_key", value, first, last)


def _flush(source: list[tuple[str, int]], result: Parsed) -> None:
    """Take the lines of a notebook's cell as text, each at its own line of the file."""
    result.texts.extend((line, piece) for piece, line in source)
    source.clear()


def _elements(text: bytes, bound: Bound) -> Parsed:
    """Read XML: elements with text, attributes, and a name and a value as two attributes. Entities are refused."""
    result = Parsed()
    parser = expat.ParserCreate()
    stack: list[list[str]] = []  # name, text
    begun: list[int] = []
    before: list[str] = []  # the text before, if it can be a name
    siblings: list[dict[str, tuple[str, int]]] = [{}]

    def refuse(*_: object) -> None:
        raise ValueError

    def start(name: str, attributes: dict[str, str]) -> None:
        line = parser.CurrentLineNumber - 1
        local = name.rpartition(":")[2]
        lowered = {key.lower(): value for key, value in attributes.items()}
        called = next((lowered[word] for word in _NAMED if word in lowered), "")
        stack.append([called if called and bound(called) else local, ""])
        begun.append(line)
        siblings.append({})
        if len(stack) > DEEPEST:
            raise ValueError
        for key, value in attributes.items():
            named = bound(called) if called and key.lower() in _HELD else bound(key.rpartition(":")[2])
            if named:
                result.candidates.append(Candidate(named[0], named[1], value, line, line))
                result.lines.add(line)

    def end(_: str) -> None:
        (name, content), line = stack.pop(), begun.pop()
        siblings.pop()
        last = parser.CurrentLineNumber - 1
        content = content.strip()
        if not content:
            return
        if before and "\n" not in content and (pair := bound(before[-1])):  # cells of a table
            result.candidates.append(Candidate(pair[0], pair[1], content, line, last))
        before[:] = [content] if re.fullmatch(r"[\w.-]{2,60}", content) else []
        previous = siblings[-1].get("name")
        named = bound(name)
        if name.lower() in ("name", "key", "string"):
            if (
                previous and name.lower() == "string" and (pair := bound(previous[0]))
            ):  # a property list: key, string
                result.candidates.append(Candidate(pair[0], pair[1], content, previous[1], last))
            siblings[-1]["name"] = (content, line)
        elif previous and name.lower() in _HELD and (pair := bound(previous[0])):
            result.candidates.append(Candidate(pair[0], pair[1], content, previous[1], last))
        if named and "\n" not in content:
            result.candidates.append(Candidate(named[0], named[1], content, line, last))
            result.lines.update(range(line, last + 1))

    def characters(data: str) -> None:
        if stack:
            stack[-1][1] += data

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, characters
    parser.EntityDeclHandler = refuse
    parser.buffer_text = True
    with suppress(UnicodeError):
        parser.Parse(text, True)
    return result
