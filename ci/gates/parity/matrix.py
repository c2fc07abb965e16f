"""The matrix, environment x key: what the schema, the plain files and the sealed files say of each.

Of a sealed file only the names are read, which are in clear; the sealing gate checks whether the rest of it is
sealed.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ci.gates.finding import Finding, Rule, finding
from ci.gates.parity import rules
from ci.ground import dotenv
from ci.ground.errors import GateError
from ci.ground.repo import Repo
from ci.ground.schema import Key, Schema

_SEALED = re.compile(rb"(?m)^(?!sops_)([A-Za-z_]\w*)=")  # one pass over the whole file, however long
_MEANT = re.compile(r"[ \t\ufeff]*(?:export[ \t]+)?([A-Z][A-Z0-9_]*)[ \t]*[=:]")  # a key, however it is written
_KEY = re.compile(r" +([A-Z][A-Z0-9_]*):")
_COMMENT = re.compile(r"[ \t]#")  # python-dotenv ends a value here; a sealed value never passes through it


@dataclass(frozen=True)
class File:
    """One file of values: its place, the line of each key, a plain one's values, and whether it is text."""

    place: str
    lines: Mapping[str, int]
    values: Mapping[str, str] = field(default_factory=dict)
    text: bool = True


@dataclass(frozen=True)
class Matrix:
    """Every environment's plain and sealed file, as far as they exist."""

    schema: Schema
    plain: Mapping[str, File]
    sealed: Mapping[str, File]

    @property
    def size(self) -> int:
        """How many values there are."""
        return sum(len(file.lines) for files in (self.plain, self.sealed) for file in files.values())

    def at(self, name: str, key: str) -> tuple[str, int]:
        """Return file and line of an environment's value; of one that is not in git, where it would be."""
        files = (files[name] for files in (self.plain, self.sealed) if name in files)
        places = ((file.place, file.lines[key]) for file in files if key in file.lines)
        return next(places, (f"secrets/{name}.enc.env", 1))


def read(repo: Repo, names: list[str]) -> tuple[Matrix, list[Finding]]:
    """Read the files of these environments, and what is wrong with their lines."""
    findings: list[Finding] = []
    plain = {name: _plain(repo, name, findings) for name in names if repo.exists(f"config/{name}.env")}
    shared = [
        name for name in names if name in repo.environments.in_git and repo.exists(f"secrets/{name}.enc.env")
    ]
    sealed = {name: _sealed(repo, name, findings) for name in shared}
    return Matrix(repo.schema, plain, sealed), findings


def names(data: bytes) -> list[tuple[str, int]]:
    """Return the keys of a sealed file and the offset of each in bytes; a key that the file has twice, twice."""
    return [(match[1].decode(), match.start()) for match in _SEALED.finditer(data)]


def look(matrix: Matrix) -> Iterator[Finding]:
    """Yield the keys that are missing, extra, or in the wrong one of an environment's two files."""
    keys = matrix.schema.keys
    somewhere = {key for file in matrix.plain.values() for key in file.lines}
    for files, sealed in ((matrix.plain, False), (matrix.sealed, True)):
        for file in files.values():
            for key, line in file.lines.items():
                if fault := _misplaced(keys.get(key), sealed=sealed):
                    yield finding(fault[0], file.place, fault[1], key=key, line=line)
    for name, file in matrix.plain.items():
        # A key with a default may be left out, but then everywhere: no environment has a shape of its own.
        here = matrix.schema.within(name).keys.values()  # not those that only services of other environments read
        expected = (key for key in here if not key.secret and (key.required or key.name in somewhere))
        yield from _missing(file, expected, rules.MISSING.hint)
    for name, file in matrix.sealed.items():
        secrets = matrix.schema.within(name).secrets()
        yield from _missing(file, (key for key in secrets if key.required), rules.SET)


def _misplaced(key: Key | None, *, sealed: bool) -> tuple[Rule, str] | None:
    """Return why a key may not be in a sealed or in a plain file; None when it may."""
    if key is None:
        return rules.EXTRA, "is not in the schema"
    if key.source:
        return rules.EXTRA, f"is part of {key.source} and has no value of its own"
    if key.secret and not sealed:
        return rules.SECRET_IN_PLAIN, "is secret"
    return (rules.PLAIN_IN_SEALED, "is not secret") if sealed and not key.secret else None


def _missing(file: File, keys: Iterator[Key], hint: str) -> Iterator[Finding]:
    for key in keys:
        if file.text and key.name not in file.lines:
            yield finding(rules.MISSING, file.place, "is missing", key=key.name, hint=hint)


def _plain(repo: Repo, name: str, findings: list[Finding]) -> File:
    """Read a plain file; `values` has only those whose lines are right, `lines` every key that is meant."""
    place = f"config/{name}.env"
    data = content(repo, place)
    values, problems = dotenv.parse(data)
    for problem in problems:
        rule = {"is empty": rules.EMPTY, "is there twice": rules.DUPLICATE}.get(problem.what, rules.LINE)
        findings.append(finding(rule, place, problem.what, key=problem.key, line=problem.line))
        if rule is not rules.DUPLICATE:
            values.pop(problem.key, None)
    lines = {}
    for number, line in enumerate(data.decode(errors="replace").split("\n"), start=1):
        if match := _MEANT.match(line):
            lines[match[1]] = number
        if match and _COMMENT.search(values.get(match[1], "")):
            message = "holds a blank and a #, where others see a comment begin"
            findings.append(finding(rules.LINE, place, message, key=match[1], line=number))
            del values[match[1]]
    return File(place, lines, values, text=all(problem.what != "is not UTF-8" for problem in problems))


def _sealed(repo: Repo, name: str, findings: list[Finding]) -> File:
    place = f"secrets/{name}.enc.env"
    data = content(repo, place)
    lines: dict[str, int] = {}
    number = position = 0
    for key, start in names(data):
        number += data.count(b"\n", position, start)
        position = start
        if key in lines:
            findings.append(finding(rules.DUPLICATE, place, "is there twice", key=key, line=number + 1))
        lines[key] = number + 1
    return File(place, lines)


def schema_lines(repo: Repo) -> dict[str, int]:
    """Return the line of each key of the schema."""
    rows = content(repo, "config/schema.yaml").decode(errors="replace").split("\n")
    found = ((number, _KEY.match(row)) for number, row in enumerate(rows, start=1))
    return {match[1]: number for number, match in reversed([*found]) if match}


def content(repo: Repo, place: str) -> bytes:
    """Return a file's bytes; GateError when it cannot be read."""
    try:
        return repo.read(place)
    except OSError:
        raise GateError(f"{place} cannot be read", "it must be a file that you may read") from None
