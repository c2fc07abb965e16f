"""The matrix of keys and environments as rows, and what is wrong with it: `inv parity`."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from ci.gates import exceptions, parity
from ci.gates.finding import Finding, Findings
from ci.gates.parity import matrix
from ci.gates.parity.matrix import Matrix
from ci.ground.errors import NoIdentityError, NotSealedError, WrongIdentityError
from ci.ground.repo import Repo
from ci.sealing import environment
from runtime import Secret


@dataclass(frozen=True)
class Overview:
    """A row for each key: its name, and per environment where its value is, or what is wrong with it."""

    headings: list[str]
    rows: list[list[str]]
    findings: Findings


def read(repo: Repo, name: str = "", *, sealed: bool = False) -> Overview:
    """Return the matrix of one environment or of all, and every finding that no exception excuses.

    With `sealed`, look at the values of every environment whose identity is at hand, and of `name` in any case.
    """
    if name:
        environment.known(repo, name)
    findings = exceptions.apply(repo, parity.RULES, parity.check(repo), datetime.now(UTC).date())
    if sealed:
        findings |= parity.check_sealed(repo, _opened(repo, name))
    names = [name] if name else list(repo.environments.by_name)
    return Overview(["key", *names], list(_rows(repo, findings, names)), findings)


def _opened(repo: Repo, name: str) -> dict[str, dict[str, Secret]]:
    opened = {name: environment.sealed(repo, name)} if name else {}
    for other in repo.environments.by_name:
        if other != name:
            with suppress(NoIdentityError, WrongIdentityError, NotSealedError):
                opened[other] = environment.sealed(repo, other)
    if not opened:
        raise NoIdentityError("no environment can be opened here", "inv parity --env=ENV --sealed says why")
    return opened


def _rows(repo: Repo, findings: Iterable[Finding], names: list[str]) -> Iterator[list[str]]:
    table, _ = matrix.read(repo, names)
    wrong = {(finding.place, finding.key): finding.rule.partition("/")[2] for finding in findings}
    extra = {key for files in (table.plain, table.sealed) for file in files.values() for key in file.lines}
    for key in [*repo.schema.keys, *sorted(extra - repo.schema.keys.keys())]:
        yield [key, *(_cell(repo, table, wrong, name, key) for name in names)]


def _cell(repo: Repo, table: Matrix, wrong: Mapping[tuple[str, str], str], name: str, key: str) -> str:
    for place in (f"config/{name}.env", f"secrets/{name}.enc.env"):
        if (place, key) in wrong:
            return wrong[place, key]
    if name in table.plain and key in table.plain[name].lines:
        return "plain"
    if name in table.sealed and key in table.sealed[name].lines:
        return "sealed"
    known = repo.schema.keys.get(key)
    if known is None or known.source:
        return "part" if known else ""
    if known.secret and repo.environments.outside_git(name) and (known.required or known.generator(name)):
        return "sealed here"
    return "missing" if known.required else "default" if known.rules["default"] is not None else "optional"
