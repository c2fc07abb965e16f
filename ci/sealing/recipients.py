""".sops.yaml: one anchored rule per environment, with the recipients of that environment only."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ci.ground import command, documents, errors
from ci.ground.repo import Repo

HEADER = """\
# Who can open what: one rule per environment. Made by `inv init`.
creation_rules:
"""
PATH_REGEX = re.compile(r"\^secrets/((?:[a-z0-9]|\\?-)+)\\\.enc\\\.env\$")
_NAMED = re.compile(r"(?m)^ *- (age1[a-z0-9]+) +# *(.*\S)")
_KEY = re.compile(r"age1(?:[a-z0-9]{58}|pq1[a-z0-9]{1952})")  # age's own: X25519, and ML-KEM-768 with X25519
_NAME = re.compile(r"[^\W_][\w .,@+'-]{0,59}")


@dataclass(frozen=True)
class Recipient:
    """The public half of an identity, and the name beside it."""

    key: str
    name: str = ""

    def __str__(self) -> str:
        short = f"{self.key[:16]}…"
        return f"{self.name} ({short})" if self.name else short

    @property
    def post_quantum(self) -> bool:
        """Whether it is of the stronger kind."""
        return self.key.startswith("age1pq1")


Rules = dict[str, list[Recipient]]  # by environment, in the file's order


def path(repo: Repo) -> Path:
    """Return where the rules are."""
    return repo.file(".sops.yaml")


def read(repo: Repo, file: Path | None = None) -> Rules:
    """Return who may open what, by the checkout's rules or those of a file.

    ConfigurationError unless they are in the form that the sealing gate lets pass.
    """
    try:
        text = (file or path(repo)).read_text(encoding="utf-8")
        document = documents.load(text)
        names = dict(_NAMED.findall(text))
        listed = _listed(document)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError):
        raise errors.ConfigurationError(
            ".sops.yaml is not there, or not as inv init writes it", "nox -s secrets says what is wrong with it"
        ) from None
    return {name: [Recipient(key, names.get(key, "")) for key in keys] for name, keys in listed.items()}


def of(repo: Repo, rules: Rules, environment: str) -> list[Recipient]:
    """Return an environment's recipients; UsageError when it is not sealed for recipients."""
    shared = repo.environments.in_git
    if environment not in shared:
        raise errors.UsageError(
            f"{environment or 'none given'} is no environment with recipients",
            f"take one of {', '.join(shared)}: --env=…",
        )
    if environment not in rules:
        raise errors.ConfigurationError(f".sops.yaml has no rule for {environment}", "nox -s secrets says how")
    return rules[environment]


def check(repo: Repo, recipient: Recipient, others: Sequence[Recipient]) -> None:
    """Raise RecipientError unless it is a good recipient and no weaker nor stronger than the others."""
    key = recipient.key
    if not _KEY.fullmatch(key) or command.attempt([repo.tool("age"), "-r", key], input=b"0").code:
        raise errors.RecipientError(
            "that is no recipient of age's own kinds",
            "they run age-keygen, and send the line that begins with age1",
        )
    if recipient.name and not _NAME.fullmatch(recipient.name):
        raise errors.RecipientError(
            "that is no name for a recipient", "letters, digits, blanks and .,@+'-: --name=Anna"
        )
    if any(other.post_quantum != recipient.post_quantum for other in others):
        kind = "age-keygen" if recipient.post_quantum else "age-keygen -pq"
        raise errors.RecipientError(
            "it is of another kind than the other recipients, the file would be as weak as the weakest",
            f"have them make one of the same kind: {kind}",
        )
    if recipient.name and any(other.name == recipient.name and other.key != key for other in others):
        raise errors.RecipientError(
            f"{recipient.name} is there with another key", "take another name, or remove that one"
        )


def find(group: Sequence[Recipient], key: str, name: str) -> Recipient:
    """Return the one recipient that the beginning of a key or a name identifies."""
    if not key and not name:
        raise errors.UsageError(
            "no recipient given", "--recipient=age1… or --name=…, as inv recipients.list shows"
        )
    matches = [
        recipient
        for recipient in group
        if (key and recipient.key.startswith(key.rstrip("…"))) or (name and recipient.name == name)
    ]
    if len(matches) != 1:
        raise errors.RecipientError(
            f"{len(matches) or 'none'} of the recipients is called so",
            "inv recipients.list shows them",
            list(map(str, group)),
        )
    return matches[0]


def rules(recipients: Mapping[str, Sequence[Recipient]]) -> str:
    """Return .sops.yaml for these recipients by environment."""
    text = HEADER
    for environment, group in recipients.items():
        text += f"  - path_regex: ^{re.escape(f'secrets/{environment}.enc.env')}$\n    age:\n"
        text += "".join(_line(" " * 6, recipient) for recipient in group)
    return text


def changed(repo: Repo, recipients: Mapping[str, Sequence[Recipient]]) -> bytes:
    """Return .sops.yaml for other recipients; each line that is not of a recipient who changed stays as it is."""
    text = path(repo).read_text(encoding="utf-8")
    names, lines = dict(_NAMED.findall(text)), text.splitlines(keepends=True)
    root = yaml.compose(text, Loader=documents.LOADER)
    assert isinstance(root, yaml.MappingNode)  # noqa: S101, for mypy: as `read` found it
    ((_, listed),) = root.value
    current = _listed(documents.load(text))
    # From the end, for the lines before an edit keep their numbers.
    for (environment, keys), rule in reversed(list(zip(current.items(), listed.value, strict=True))):
        parts, group = {key.value: value for key, value in rule.value}, recipients[environment]
        if [(key, names.get(key, "")) for key in keys] != [(each.key, each.name) for each in group]:
            _edit(lines, parts["age"], group, names)
    return "".join(lines).encode()


def _edit(lines: list[str], node: yaml.Node, group: Sequence[Recipient], names: Mapping[str, str]) -> None:
    """Give one rule other recipients, in the lines of its list; a text with commas becomes a list."""
    first, last = node.start_mark.line, max(node.end_mark.line - (node.end_mark.column == 0), node.start_mark.line)
    if not isinstance(node, yaml.SequenceNode) or node.flow_style:
        start = lines[first][: node.start_mark.column].rstrip()
        indent = " " * (len(start) - len(start.lstrip()) + 2)
        rest = lines[last][node.end_mark.column :].rstrip("\n") if node.end_mark.column else ""
        lines[first : last + 1] = [f"{start}{rest}\n", *(_line(indent, each) for each in group)]
        return
    places = {item.value: item.start_mark.line for item in node.value}
    indent = " " * (len(lines[first]) - len(lines[first].lstrip()))
    end = max(places.values())
    if not lines[end].endswith("\n"):
        lines[end] += "\n"
    lines[end + 1 : end + 1] = [_line(indent, each) for each in group if each.key not in places]
    left = {each.key: each for each in group}
    for key, place in sorted(places.items(), key=lambda pair: -pair[1]):
        if key not in left:
            del lines[place]
        elif left[key].name != names.get(key, ""):
            lines[place] = _line(indent, left[key])


def _line(indent: str, recipient: Recipient) -> str:
    return f"{indent}- {recipient.key}{f'  # {recipient.name}' if recipient.name else ''}\n"


def _listed(document: Any) -> dict[str, list[str]]:
    """Return the recipients by environment; ValueError for what sops would understand in another way."""
    listed = [_rule(rule) for rule in document["creation_rules"]]
    if document.keys() != {"creation_rules"} or len(dict(listed)) != len(listed):
        raise ValueError  # the first rule wins
    return dict(listed)


def _rule(rule: Any) -> tuple[str, list[str]]:
    match = PATH_REGEX.fullmatch(rule["path_regex"])
    if match is None or rule.keys() != {"path_regex", "age"}:
        raise ValueError
    keys = rule["age"].split(",") if isinstance(rule["age"], str) else list(rule["age"])
    return match[1].replace("\\", ""), [str(key).strip() for key in keys]
