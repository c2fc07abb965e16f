"""Proposals: sealed files of one value each, asked for by a person who cannot open the environment."""

from collections.abc import Collection, Iterable, Iterator

from ci.gates.finding import Finding, Rule, finding
from ci.gates.sealing import tracked
from ci.gates.sealing.sealed import Sealed

PROPOSAL = Rule(
    "sealing/proposal",
    "a proposal that holds another key than its name tells, more than one, or one that is no secret",
    "DB_PASSWORD=ENC[…] in API_TOKEN-0a1b2c3d.enc.env",
    "git rm -f {file}, then inv propose --env={environment} --key={key}",
)
RULES = (PROPOSAL,)


def look(files: Iterable[Sealed], keys: Collection[str]) -> Iterator[Finding]:
    """Yield the proposals that are not one value of a secret key, given those keys."""
    for file in files:
        match = tracked.PROPOSAL.fullmatch(file.place)
        if match and match[2] not in keys:
            yield finding(PROPOSAL, file.place, "is for a key that is no secret of the schema", key=match[2])
        elif match and list(file.pairs.values()) != [match[2]]:
            yield finding(PROPOSAL, file.place, "does not hold its one key and nothing else", key=match[2])
