"""Findings as a person, a program, a code scanner or a pull request reads them."""

import hashlib
import json
import urllib.parse
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ci.gates.finding import ERROR, Finding, Findings, Rule

SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"


def text(gate: str, rules: Sequence[Rule], findings: Findings) -> str:
    """Return three lines a finding (place, why, fix) and a last line that counts."""
    lines = [f"{one.place}:{one.line}: {_named(one)}\n  {one.message}\n  hint: {one.hint}\n" for one in findings]
    return "".join([*lines, last_line(gate, rules, findings)])


def as_json(gate: str, rules: Sequence[Rule], findings: Findings) -> str:
    """Return one JSON object."""
    found = [vars(one) for one in findings]
    return json.dumps({"gate": gate, "rules": len(rules), "looked": findings.looked, "findings": found}, indent=1)


def sarif(gate: str, rules: Sequence[Rule], findings: Findings) -> str:
    """Return a SARIF 2.1.0 log, with what GitHub's code scanning asks for beyond the standard."""
    times: Counter[str] = Counter()
    run = {
        "tool": {"driver": {"name": f"lockstep {gate}", "rules": [_rule(rule) for rule in rules]}},
        "results": [_result(one, times) for one in findings],
        "properties": {"looked": findings.looked},
    }
    return json.dumps({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1)


def github(gate: str, rules: Sequence[Rule], findings: Findings) -> str:
    """Return annotations for a pull request on GitHub."""
    lines = [f"::{one.level} {_place(one)}::{_escaped(_sentence(one))}\n" for one in findings]
    return "".join([*lines, last_line(gate, rules, findings)])


def last_line(gate: str, rules: Sequence[Rule], findings: Findings) -> str:
    """Return the line that shows how much the gate looked at."""
    looked = ", ".join(f"{count} {what}" for what, count in findings.looked.items())
    warnings = f", {findings.warnings} of them warnings" if findings.warnings else ""
    return f"{gate}: {len(findings)} findings{warnings}; looked at {looked}, with {len(rules)} rules"


FORMATS: Mapping[str, Callable[[str, Sequence[Rule], Findings], str]] = {
    "text": text,
    "json": as_json,
    "sarif": sarif,
    "github": github,
}


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.what},
        "fullDescription": {"text": f"{rule.what}, such as: {rule.example}"},
        "help": {"text": rule.hint},
    }


def _result(one: Finding, times: Counter[str]) -> dict[str, Any]:
    """Return one result; `times` counts those that only their line tells apart, for a line moves between runs."""
    same = hashlib.sha256(f"{one.rule}\n{one.place}\n{one.key}".encode()).hexdigest()[:16]
    times[same] += 1
    place = {"artifactLocation": {"uri": urllib.parse.quote(one.path)}, "region": {"startLine": one.line}}
    return {
        "ruleId": one.rule,
        "level": one.level,
        "message": {"text": _sentence(one)},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {"primaryLocationLineHash": f"{same}:{times[same]}"},
    }


def _named(one: Finding) -> str:
    level = "" if one.level == ERROR else f"{one.level}: "
    return f"{level}{one.rule} {one.key}".strip()


def _sentence(one: Finding) -> str:
    past = f"in {one.commit}: " if one.commit else ""
    return past + f"{one.key} {one.message}; hint: {one.hint}".strip()


def _place(one: Finding) -> str:
    file, title = (_escaped(words, property_=True) for words in (one.path, one.rule))
    return f"file={file},line={one.line},title={title}"


def _escaped(words: str, *, property_: bool = False) -> str:
    """Escape as the runner's toolkit does (actions/toolkit, packages/core/src/command.ts)."""
    words = words.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return words.replace(":", "%3A").replace(",", "%2C") if property_ else words
