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


def compare(one: Sealed, allowed: Sequence[str]) -> Iterator[Finding]:
    """Yield how the recipients of a file differ from those of its rule."""
    lines = dict(one.recipients)
    for who, count in Counter(who for who, _ in one.recipients).items():
        if who not in allowed:
            message = f"{shown(who)} can open it, and .sops.yaml does not name it"
            yield finding(EXTRA, one.place, message, line=lines[who])
        if count > 1:
            yield finding(DUPLICATE, one.place, f"{shown(who)} is there {count} times", line=lines[who])
    for who in allowed:
        if who not in lines:
            yield finding(MISSING, one.place, f"{shown(who)} is in .sops.yaml, and cannot open it")


def shared(files: Iterable[Sealed]) -> Iterator[Finding]:
    """Yield what one file has of another: a nonce is used once, and a data key is for one file."""
    nonces: dict[bytes, Sealed] = {}
    envelopes: dict[bytes, Sealed] = {}
    for one in files:
        yield from _of_another(IV, "has a nonce of", one, one.nonces, nonces)
        yield from _of_another(ENVELOPE, "has an envelope of", one, one.envelopes, envelopes)


def _of_another(
    rule: Rule, what: str, one: Sealed, own: Mapping[bytes, int], known: dict[bytes, Sealed]
) -> Iterator[Finding]:
    for content, line in own.items():
        other = known.setdefault(content, one)
        if other is not one:
            yield finding(rule, one.place, f"{what} {other.place}", line=line)
