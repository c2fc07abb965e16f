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
    lines = []
    for finding in findings:
        level = "" if finding.level == ERROR else f"{finding.level}: "
        name = f"{level}{finding.rule} {finding.key}".strip()
        lines.append(f"{finding.place}:{finding.line}: {name}\n  {finding.message}\n  hint: {finding.hint}\n")
    return "".join([*lines, last_line(gate, rules, findings)])


def as_json(gate: str, rules: Sequence[Rule], findings: Findings) -> str:
    """Return one JSON object."""
    rows = [vars(finding) for finding in findings]
    return json.dumps({"gate": gate, "rules": len(rules), "looked": findings.looked, "findings": rows}, indent=1)


def sarif(gate: str, rules: Sequence[Rule], findings: Findings) -> str:
    """Return a SARIF 2.1.0 log, with what GitHub's code scanning asks for beyond the standard."""
    times: Counter[str] = Counter()
    run = {
        "tool": {"driver": {"name": f"lockstep {gate}", "rules": [_rule(rule) for rule in rules]}},
        "results": [_result(finding, times) for finding in findings],
        "properties": {"looked": findings.looked},
    }
    return json.dumps({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1)


def github(gate: str, rules: Sequence[Rule], findings: Findings) -> str:
    """Return annotations for a pull request on GitHub."""
    lines = []
    for finding in findings:
        file, title = (_escaped(words, property_=True) for words in (finding.path, finding.rule))
        place = f"file={file},line={finding.line},title={title}"
        lines.append(f"::{finding.level} {place}::{_escaped(_sentence(finding))}\n")
    return "".join([*lines, last_line(gate, rules, findings)])


def last_line(gate: str, rules: Sequence[Rule], findings: Findings) -> str:
    """Return the line that shows how much the gate looked at."""
    looked = ", ".join(f"{count} {noun}" for noun, count in findings.looked.items())
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


def _result(finding: Finding, times: Counter[str]) -> dict[str, Any]:
    """Return one result; `times` counts those that differ only in their line, for a line moves between runs."""
    same = hashlib.sha256(f"{finding.rule}\n{finding.place}\n{finding.key}".encode()).hexdigest()[:16]
    times[same] += 1
    place = {"artifactLocation": {"uri": urllib.parse.quote(finding.path)}, "region": {"startLine": finding.line}}
    return {
        "ruleId": finding.rule,
        "level": finding.level,
        "message": {"text": _sentence(finding)},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {"primaryLocationLineHash": f"{same}:{times[same]}"},
    }


def _sentence(finding: Finding) -> str:
    past = f"in {finding.commit}: " if finding.commit else ""
    return past + f"{finding.key} {finding.message}; hint: {finding.hint}".strip()


def _escaped(words: str, *, property_: bool = False) -> str:
    """Escape as the runner's toolkit does (actions/toolkit, packages/core/src/command.ts)."""
    words = words.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return words.replace(":", "%3A").replace(",", "%2C") if property_ else words
