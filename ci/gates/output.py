"""Findings as a person, a program, a code scanner or a pull request reads them."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ci.gates.finding import Finding, Findings, Rule

SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"


def text(gate: str, rules: Sequence[Rule], findings: Findings) -> str:
    """Return three lines a finding (place, why, cure) and a last line that counts."""
    lines = [
        f"{one.place}:{one.line}: {f'{one.rule} {one.key}'.strip()}\n  {one.message}\n  hint: {one.hint}\n"
        for one in findings
    ]
    return "".join([*lines, last_line(gate, rules, findings)])


def as_json(gate: str, rules: Sequence[Rule], findings: Findings) -> str:
    """Return one JSON object."""
    found = [vars(one) for one in findings]
    return json.dumps({"gate": gate, "rules": len(rules), "looked": findings.looked, "findings": found}, indent=1)


def sarif(gate: str, rules: Sequence[Rule], findings: Findings) -> str:
    """Return a SARIF 2.1.0 log, as code scanners take it."""
    driver = {
        "name": f"lockstep {gate}",
        "rules": [
            {"id": rule.id, "shortDescription": {"text": rule.what}, "help": {"text": rule.hint}} for rule in rules
        ],
    }
    run = {
        "tool": {"driver": driver},
        "results": [_result(one) for one in findings],
        "properties": {"looked": findings.looked},
    }
    return json.dumps({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1)


def github(gate: str, rules: Sequence[Rule], findings: Findings) -> str:
    """Return annotations for a pull request on GitHub."""
    lines = [f"::error {_place(one)}::{_escaped(_sentence(one))}\n" for one in findings]
    return "".join([*lines, last_line(gate, rules, findings)])


def last_line(gate: str, rules: Sequence[Rule], findings: Findings) -> str:
    """Return the line that proves that the gate looked."""
    looked = ", ".join(f"{count} {what}" for what, count in findings.looked.items())
    return f"{gate}: {len(findings)} findings; looked at {looked}, with {len(rules)} rules"


FORMATS: Mapping[str, Callable[[str, Sequence[Rule], Findings], str]] = {
    "text": text,
    "json": as_json,
    "sarif": sarif,
    "github": github,
}


def _result(one: Finding) -> dict[str, Any]:
    place = {"artifactLocation": {"uri": one.place}, "region": {"startLine": one.line}}
    return {
        "ruleId": one.rule,
        "level": "error",
        "message": {"text": _sentence(one)},
        "locations": [{"physicalLocation": place}],
    }


def _sentence(one: Finding) -> str:
    return f"{one.key} {one.message}; hint: {one.hint}".strip()


def _place(one: Finding) -> str:
    file, title = (_escaped(words, property_=True) for words in (one.place, one.rule))
    return f"file={file},line={one.line},title={title}"


def _escaped(words: str, *, property_: bool = False) -> str:
    """Escape as the runner's toolkit does (actions/toolkit, packages/core/src/command.ts)."""
    words = words.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return words.replace(":", "%3A").replace(",", "%2C") if property_ else words
