"""Who can open a sealed file, against who may; and what several sealed files must not share."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ci.gates.finding import Finding, Rule, finding
from ci.gates.sealing.envelope import ENVELOPE
from ci.gates.sealing.rulesfile import shown
from ci.gates.sealing.sealed import IV, Sealed

EXTRA = Rule(
    "sealing/recipient-extra",
    "a recipient that the rule does not name",
    "a key that left .sops.yaml and not the file",
    "sops updatekeys {file}, then sops rotate -i {file}; or add it to .sops.yaml",
)
MISSING = Rule(
    "sealing/recipient-missing",
    "a recipient of the rule that cannot open the file",
    "a key that was added to .sops.yaml alone",
    "sops updatekeys {file}",
)
DUPLICATE = Rule(
    "sealing/recipient-duplicate", "a recipient that a file lists twice", "two entries", "sops updatekeys {file}"
)
RULES = (EXTRA, MISSING, DUPLICATE)


def compare(file: Sealed, allowed: Sequence[str]) -> Iterator[Finding]:
    """Yield how the recipients of a file differ from those of its rule."""
    lines = dict(file.recipients)
    for recipient, count in Counter(recipient for recipient, _ in file.recipients).items():
        if recipient not in allowed:
            message = f"{shown(recipient)} can open it, and .sops.yaml does not name it"
            yield finding(EXTRA, file.place, message, line=lines[recipient])
        if count > 1:
            message = f"{shown(recipient)} is there {count} times"
            yield finding(DUPLICATE, file.place, message, line=lines[recipient])
    for recipient in allowed:
        if recipient not in lines:
            yield finding(MISSING, file.place, f"{shown(recipient)} is in .sops.yaml, and cannot open it")


def shared(files: Iterable[Sealed]) -> Iterator[Finding]:
    """Yield what one file has of another: a nonce is used once, and a data key is for one file."""
    nonces: dict[bytes, Sealed] = {}
    envelopes: dict[bytes, Sealed] = {}
    for file in files:
        yield from _of_another(IV, "has a nonce of", file, file.nonces, nonces)
        yield from _of_another(ENVELOPE, "has an envelope of", file, file.envelopes, envelopes)


def _of_another(
    rule: Rule, phrase: str, file: Sealed, own: Mapping[bytes, int], known: dict[bytes, Sealed]
) -> Iterator[Finding]:
    for content, line in own.items():
        other = known.setdefault(content, file)
        if other is not file:
            yield finding(rule, file.place, f"{phrase} {other.place}", line=line)
