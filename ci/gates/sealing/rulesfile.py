""".sops.yaml: who may open what. sops reads it loosely; only the form that `inv init` writes is accepted here.

sops ignores keys that it does not know, takes the first rule whose unanchored expression fits, and encrypts for
any kind of recipient, so that a slip in it silently changes who can read a secret.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from ci.gates.finding import Finding, Rule, finding
from ci.gates.sealing.envelope import Kind, kind
from ci.ground import documents
from ci.sealing.recipients import PATH_REGEX

PLACE = ".sops.yaml"
_INIT = "write it as inv init does: path_regex and age, one rule per environment"
UNREADABLE = Rule("sealing/rules-unreadable", ".sops.yaml is missing or not a list of rules", "a tab in it", _INIT)
KEY = Rule("sealing/rules-key", "a key that does not belong there", "mac_only_encrypted: true", "delete it")
REGEX = Rule(
    "sealing/rules-regex",
    "a path_regex that is not anchored to one file",
    "path_regex: dev.enc.env",
    r"write ^secrets/{environment}\.enc\.env$",
)
MISSING = Rule("sealing/rules-missing", "an environment without a rule", "no rule for prod", _INIT)
STRANGER = Rule(
    "sealing/rules-stranger",
    "a rule for something that is no environment",
    r"^secrets/prd\.enc\.env$",
    "correct the name, or delete the rule",
)
TWICE = Rule(
    "sealing/rules-twice",
    "two rules for one environment, of which the first wins",
    "prod twice",
    "keep one of them",
)
NOBODY = Rule("sealing/rules-nobody", "a rule without a recipient", "age: []", "name a recipient, or delete it")
PLUGIN = Rule(
    "sealing/recipient-plugin",
    "a recipient that is not age's own",
    "age1yubikey1…, ssh-ed25519 …",
    "take one that age-keygen made",
)
REPEATED = Rule("sealing/rules-repeated", "a recipient that a rule names twice", "a line twice", "delete one")
WEAKER = Rule(
    "sealing/recipient-weaker",
    "a recipient of a weaker kind than the others of its rule",
    "age1… beside age1pq1…",
    "have them make a post-quantum identity (age-keygen -pq), then sops updatekeys and sops rotate",
)
RULES = (UNREADABLE, KEY, REGEX, MISSING, STRANGER, TWICE, NOBODY, PLUGIN, REPEATED, WEAKER)


@dataclass
class Rules:
    """The recipients by environment, in the file's order, and what is wrong with the file."""

    recipients: dict[str, list[str]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def read(data: bytes | None, environments: Collection[str]) -> Rules:
    """Read .sops.yaml; None means that the file does not exist."""
    result = Rules()
    text = (data or b"").decode(errors="replace")

    def add(rule: Rule, message: str, key: str = "", sought: str = "") -> None:
        line = text.count("\n", 0, max(text.find(sought or key), 0)) + 1
        result.findings.append(finding(rule, PLACE, message, line=line, key=key))

    document = _document(data)
    rules = document.get("creation_rules") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(rules, list):
        add(UNREADABLE, "is not there" if data is None else "is not a list of rules that sops and we read alike")
        return result
    for key in (*_strangers(document, {"creation_rules"}), *_twice(text)):
        add(KEY, "does not belong here, or is there twice", key)
    for rule in rules:
        for violation, message, key, sought in _rule(result, rule):
            add(violation, message, key, sought)
    for name in result.recipients:
        if name not in environments:
            add(STRANGER, "is no environment of environments.yaml", name, f"secrets/{name}")
    for name in environments:
        if name not in result.recipients:
            add(MISSING, "has no rule, nobody can seal for it", name, "creation_rules")
    return result


def _rule(result: Rules, rule: Any) -> Iterator[tuple[Rule, str, str, str]]:
    """Take in one rule and yield what is wrong with it: rule, message, key, and a text to find its line by."""
    if not isinstance(rule, dict):
        yield UNREADABLE, "has a rule that is no mapping", "", ""
        return
    for key in _strangers(rule, {"path_regex", "age"}):
        yield KEY, "does not belong in a rule", key, ""
    regex = str(rule.get("path_regex"))
    match = PATH_REGEX.fullmatch(regex)
    recipients = _listed(rule.get("age"))
    if match is None:
        yield REGEX, "is not ^, one environment's file and $", "path_regex", regex
        return
    name = match[1].replace("\\", "")
    if name in result.recipients:
        yield TWICE, "has two rules, the first wins", name, regex
        return
    result.recipients[name] = recipients
    yield from _recipients(name, recipients)


def _recipients(name: str, recipients: list[str]) -> Iterator[tuple[Rule, str, str, str]]:
    if not recipients:
        yield NOBODY, "has no recipients", name, f"secrets/{name}"
    for recipient, count in Counter(recipients).items():
        if kind(recipient) is None:
            yield PLUGIN, f"has a recipient that is not age's own: {shown(recipient)}", name, recipient
        if count > 1:
            yield REPEATED, f"has a recipient twice: {shown(recipient)}", name, recipient
        if kind(recipient) is Kind.X25519 and Kind.POST_QUANTUM in map(kind, recipients):
            yield WEAKER, f"has a recipient weaker than the others: {shown(recipient)}", name, recipient


def shown(recipient: str) -> str:
    """Return the beginning of a recipient, by which a person distinguishes it from others."""
    return recipient if len(recipient) <= 24 else f"{recipient[:20]}…"  # noqa: PLR2004


def _document(data: bytes | None) -> Any:
    """Return what YAML says; None when it says nothing, or more than rules need: aliases, depth, two documents."""
    try:
        return documents.load(data or b"")
    except yaml.YAMLError:
        return None


def _listed(value: Any) -> list[str]:
    """Return recipients as sops does: of a list, or of a text with commas."""
    if isinstance(value, str):
        return [recipient.strip() for recipient in value.split(",") if recipient.strip()]
    return [str(recipient) for recipient in value] if isinstance(value, list) else []


def _strangers(mapping: dict[Any, Any], known: set[str]) -> list[str]:
    return [str(key) for key in mapping if key not in known]


def _twice(text: str) -> Iterator[str]:
    """Yield each key that one mapping has twice: YAML readers differ in which of the two they take."""
    nodes = [yaml.compose(text, Loader=documents.LOADER)]
    while nodes:
        node = nodes.pop()
        if isinstance(node, yaml.MappingNode):
            names = Counter(str(key.value) for key, _ in node.value)
            yield from (name for name, count in names.items() if count > 1)
            nodes += [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            nodes += node.value
