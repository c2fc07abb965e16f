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
    return repo.root / ".sops.yaml"


def read(repo: Repo) -> Rules:
    """Return who may open what; ConfigurationError unless it is in the form that the sealing gate lets pass."""
    try:
        text = path(repo).read_text(encoding="utf-8")
        document = documents.load(text)
        names = dict(_NAMED.findall(text))
        listed = [_rule(rule) for rule in document["creation_rules"]]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError):
        raise errors.ConfigurationError(
            ".sops.yaml is not there, or not as inv init writes it", "nox -s secrets says what is wrong with it"
        ) from None
    return {name: [Recipient(key, names.get(key, "")) for key in keys] for name, keys in listed}


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


def rules(recipients: Mapping[str, Sequence[Recipient]], header: str = HEADER) -> str:
    """Return .sops.yaml for these recipients by environment."""
    text = header
    for environment, group in recipients.items():
        text += f"  - path_regex: ^{re.escape(f'secrets/{environment}.enc.env')}$\n    age:\n"
        for recipient in group:
            text += f"      - {recipient.key}{f'  # {recipient.name}' if recipient.name else ''}\n"
    return text


def changed(repo: Repo, recipients: Mapping[str, Sequence[Recipient]]) -> bytes:
    """Return .sops.yaml for other recipients; the text above its rules stays."""
    head, _, _ = path(repo).read_text(encoding="utf-8").partition("creation_rules:")
    return rules(recipients, f"{head}creation_rules:\n").encode()


def _rule(rule: Any) -> tuple[str, list[str]]:
    match = PATH_REGEX.fullmatch(rule["path_regex"])
    if match is None or rule.keys() != {"path_regex", "age"}:
        raise ValueError
    keys = rule["age"].split(",") if isinstance(rule["age"], str) else list(rule["age"])
    return match[1].replace("\\", ""), [str(key).strip() for key in keys]
