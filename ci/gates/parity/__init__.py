"""The parity gate: every environment has the same keys, each value fits, and nothing bypasses the schema.

It needs neither a key nor the network nor git: it compares the files in the folder. With an identity at hand
`check_sealed` also looks at the sealed values, in memory.
"""

from collections.abc import Iterator, Mapping

from ci.gates.finding import Finding, Findings, finding
from ci.gates.parity import examples, matrix, places, rules, sources, values
from ci.gates.parity.matrix import Matrix
from ci.gates.parity.rules import RULES
from ci.ground.repo import Repo
from ci.sealing import hosts
from runtime import Secret

__all__ = ["RULES", "check", "check_sealed"]


def check(repo: Repo) -> Findings:
    """Compare every environment with the schema, the code and the places that name it."""
    table, findings = matrix.read(repo, list(repo.environments.by_name))
    workflows, others = places.files(repo)
    reads = sources.look(repo)
    findings += [
        *matrix.look(table),
        *_plain(repo, table),
        *examples.look(repo.schema, matrix.schema_lines(repo), repo.environments.in_git),
        *places.environments(repo, workflows),
        *places.elsewhere(repo, workflows | others),
        *places.stale(repo),
        *reads.found,
    ]
    looked = {"environments": len(repo.environments.by_name)}
    if repo.schema.keys or not repo.schema.services:  # services may do without keys, and code that reads them
        looked |= {"keys": len(repo.schema.keys), "values": table.size, "files of code": reads.files}
    return Findings(map(_filled, findings), looked)


def check_sealed(repo: Repo, opened: Mapping[str, Mapping[str, Secret]]) -> Findings:
    """Look at sealed values by environment and key, as they were decrypted; no finding holds one."""
    table, _ = matrix.read(repo, list(opened))
    findings: list[Finding] = []
    sealed = {name: {key: secret.reveal() for key, secret in entries.items()} for name, entries in opened.items()}
    for name, entries in sealed.items():
        findings += _judged(repo, table, name, entries)
    findings += values.everywhere(repo.schema, sealed, table.at)
    findings += _shared(table, sealed)
    looked = {"opened environments": len(opened), "sealed values": sum(map(len, sealed.values()))}
    return Findings(map(_filled, findings), looked)


def _plain(repo: Repo, table: Matrix) -> Iterator[Finding]:
    plain = {name: file.values for name, file in table.plain.items()}
    for name, entries in plain.items():
        yield from _judged(repo, table, name, entries)
    yield from values.everywhere(repo.schema, plain, table.at)


def _judged(repo: Repo, table: Matrix, name: str, entries: Mapping[str, str]) -> Iterator[Finding]:
    """Judge the values of one environment, all of them plain or all of them sealed."""
    environment = repo.environments.by_name[name]
    others = [other for other in repo.environments.by_name if other != name]
    foreign = hosts.foreign(repo.schema, {other: file.values for other, file in table.plain.items()}, name)
    for key, value in entries.items():
        if key not in repo.schema.keys:
            continue
        if rule := values.judged(environment, repo.schema.keys[key], value, others, foreign):
            place, line = table.at(name, key)
            hint = rules.SET if repo.schema.keys[key].secret else ""
            yield finding(rule[0], place, rule[1], line=line, key=key, hint=hint)


def _shared(table: Matrix, sealed: Mapping[str, Mapping[str, str]]) -> Iterator[Finding]:
    """Yield what is secret in two environments, under whatever key."""
    owners: dict[str, str] = {}
    for name, entries in sealed.items():
        for key, value in entries.items():
            known = table.schema.keys.get(key)
            if known is None or not known.secret or known.meta.get("same_everywhere"):
                continue
            for secret in values.material(known, value):
                owner = owners.setdefault(secret, name)
                if owner != name:
                    place, line = table.at(name, key)
                    yield finding(rules.SHARED, place, f"is a secret of {owner}, too", line=line, key=key)


def _filled(problem: Finding) -> Finding:
    """Fill the hint; a file of values is named after its environment."""
    folder, _, file = problem.place.rpartition("/")
    return problem.filled(file.partition(".")[0] if folder in ("config", "secrets") else "")
