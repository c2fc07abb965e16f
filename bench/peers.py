"""The gates and their peers on the same cases, those of the gates' own tests: `nox -s peers` writes docs/peers.md.

A peer finds a case when it says more about the changed checkout than about the unchanged one, as with a baseline.
The false alarms are the cases that are right. A dash stands where a tool does not claim to look.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import combinations
from pathlib import Path

from detect_secrets import SecretsCollection
from detect_secrets.settings import default_settings
from envdrift.cli import app as envdrift
from typer.testing import CliRunner

from ci.gates import leaks, parity, sealing
from ci.ground import command, repo, toolchain
from ci.ground.repo import Repo
from tests.lockstep.gates.leaks import cases as leaks_cases
from tests.lockstep.gates.leaks import repos as leaks_repos
from tests.lockstep.gates.parity import cases as parity_cases
from tests.lockstep.gates.parity import changes as parity_changes
from tests.lockstep.gates.sealing import cases as sealing_cases
from tests.lockstep.gates.sealing import repos as sealing_repos

ROOT = Path(__file__).parents[1]
PLACE = ROOT / "docs/peers.md"
ENVIRONMENTS = ("dev", "staging", "prod")

Said = Callable[[Repo], set[str]]  # what a tool says of a checkout, each thing once
Change = Callable[[Repo], object]
HEAD = """# The gates and their peers

The cases of the gates' own tests (`tests/lockstep/gates/`), each a checkout that one change made bad, or that an
honest change left good, through our gates and through what others use. Made by `./run nox -s peers` on {day} with
{versions}.

A tool finds a case when it says more about the changed checkout than about the unchanged one, so nobody is blamed
for what a baseline would hide. The corpus is ours and was written with our gates: it shows what they look for, and
not how well the others do what they were made for. "-" is where a tool does not claim to look.

| gate | cases | ours | envdrift | detect-secrets | gitleaks, its own rules | sops filestatus |
|---|---|---|---|---|---|---|
"""


def main() -> None:
    """Run every case through every tool and write the table."""
    with tempfile.TemporaryDirectory(prefix="lockstep-peers-") as folder:
        os.environ["XDG_CONFIG_HOME"] = folder
        rows = [*_parity(Path(folder)), *_sealing(Path(folder)), *_leaks(Path(folder))]
    tools = [f"{name} {version(name)}" for name in ("envdrift", "detect-secrets")]
    tools += [f"{tool.name} {tool.version}" for tool in toolchain.pins() if tool.name in ("gitleaks", "sops")]
    head = HEAD.format(day=datetime.now(UTC).date(), versions=", ".join(tools))
    PLACE.write_text(head + "".join(f"| {' | '.join(row)} |\n" for row in rows), encoding="utf-8")


def _parity(folder: Path) -> Iterator[list[str]]:
    tools = {"ours": _of(parity.check), "envdrift": _drift, "detect-secrets": None, "gitleaks": None, "sops": None}
    template = parity_changes.made(folder / "parity")
    yield from _rows("parity", template, [change for _, change in parity_cases.BAD], parity_cases.GOOD, tools)


def _sealing(folder: Path) -> Iterator[list[str]]:
    tools = {
        "ours": _of(sealing.check),
        "envdrift": _encrypted,
        "detect-secrets": _detected,
        "gitleaks": _gitleaks,
        "sops": _filestatus,
    }
    template = sealing_repos.made(folder / "sealing")
    yield from _rows("sealing", template, [change for _, change in sealing_cases.BAD], sealing_cases.GOOD, tools)


def _leaks(folder: Path) -> Iterator[list[str]]:
    """All cases are files of one checkout, and a tool finds a case when it names the file."""
    root = leaks_repos.checkout(folder / "leaks").root
    cases = {
        "bad": {
            f"{rule}/{name}": text.format(**leaks_cases.made_up())
            for rule, files in leaks_cases.BAD.items()
            for name, text in files.items()
        },
        "good": {name: leaks_cases.fill(text) for name, text in leaks_cases.GOOD.items()},
    }
    for kind, files in cases.items():
        for name, text in files.items():
            (root / kind / name).parent.mkdir(parents=True, exist_ok=True)
            (root / kind / name).write_text(text, encoding="utf-8", newline="")
    named = [
        {one.place for one in leaks.check_folder(Repo(root))},
        _guarded(root),
        {place.partition(" ")[0] for place in _detected(Repo(root))},
        {place.partition(" ")[0] for place in _gitleaks(Repo(root))},
    ]
    for kind, files in cases.items():
        found = [str(sum(f"{kind}/{name}" in places for name in files)) for places in named]
        yield [f"leaks, {kind}", str(len(files)), *found, "-"]


def _rows(
    gate: str, template: Path, bad: Iterable[Change], good: Iterable[Change], tools: Mapping[str, Said | None]
) -> Iterator[list[str]]:
    usual = {name: said(Repo(template)) for name, said in tools.items() if said}
    for kind, changes in (("bad", list(bad)), ("good", list(good))):
        found: Counter[str] = Counter()
        for change in changes:
            with tempfile.TemporaryDirectory() as folder:
                it = Repo(shutil.copytree(template, Path(folder) / "repo", symlinks=True))
                change(it)
                fresh = Repo(it.root)  # nothing of it is read yet
                found.update(name for name, said in tools.items() if said and said(fresh) - usual[name])
        counted = [str(found[name]) if said else "-" for name, said in tools.items()]
        yield [f"{gate}, {kind}", str(len(changes)), *counted]


def _of(check: Callable[[Repo], Iterable[object]]) -> Said:
    return lambda it: {repr(one) for one in check(it)}


def _drift(it: Repo) -> set[str]:
    """`envdrift diff` of each two environments; values differ by intent, so only keys count."""
    said = set()
    for one, other in combinations(it.environments.by_name, 2):
        if not (it.plain(one).exists() and it.plain(other).exists()):
            said.add(f"{one} or {other} is missing")
            continue
        shown = CliRunner().invoke(
            envdrift, ["diff", str(it.plain(one)), str(it.plain(other)), "--format", "json"]
        )
        if shown.exit_code:
            said.add(f"{one} {other} cannot be read")
            continue
        listed = json.loads(shown.stdout[shown.stdout.index("{") :])["differences"]
        said |= {f"{one} {other} {each['name']}" for each in listed if each["type"] != "changed"}
    return said


def _encrypted(it: Repo) -> set[str]:
    """`envdrift encrypt --check` of each sealed file."""
    files = [it.sealed(name) for name in ENVIRONMENTS if it.sealed(name).is_file()]
    words = ["encrypt", "--check", "--backend", "sops"]
    return {file.name for file in files if CliRunner().invoke(envdrift, [*words, str(file)]).exit_code}


def _guarded(root: Path) -> set[str]:
    """`envdrift guard`, with its own rules; the files that it names."""
    shown = CliRunner().invoke(envdrift, ["guard", str(root), "--native-only", "--json"])
    listed = json.loads(shown.stdout[shown.stdout.index("{") :])["findings"]
    return {str(Path(one["file_path"]).resolve().relative_to(root.resolve())) for one in listed}


def _detected(it: Repo) -> set[str]:
    """`detect-secrets scan`, over every file."""
    found, said = SecretsCollection(root=str(it.root)), set()
    with default_settings():
        for path in _files(it.root):
            try:
                found.scan_file(str(path.relative_to(it.root)))
            except RecursionError:  # of its YAML parser; a hook that dies stops a commit, too
                said.add(f"{path.name} cannot be read")
    return said | {f"{name} {secret.type} {secret.secret_hash}" for name, secret in found}


def _gitleaks(it: Repo) -> set[str]:
    """`gitleaks dir` with its own rules."""
    words = ["--no-banner", "--exit-code", "0", "--report-format", "json", "--report-path", "-"]
    done = command.attempt([repo.here().tool("gitleaks"), "dir", ".", *words], cwd=it.root)
    return {
        f"{one['File']} {one['RuleID']} {hashlib.sha256(one['Secret'].encode()).hexdigest()}"
        for one in json.loads(done.stdout or b"[]")
    }


def _filestatus(it: Repo) -> set[str]:
    """`sops filestatus` of whatever lies in secrets/."""
    said = set()
    for path in sorted((it.root / "secrets").rglob("*")):
        done = command.attempt([repo.here().tool("sops"), "--input-type", "dotenv", "filestatus", path])
        if path.is_file() and b'"encrypted":true' not in done.stdout:
            said.add(os.fsdecode(bytes(path.relative_to(it.root))))
    return said


def _files(root: Path) -> list[Path]:
    skipped = {".git", ".tools"}
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in skipped]
        found += [path for path in (Path(folder) / name for name in names) if path.is_file()]
    return sorted(found)


if __name__ == "__main__":
    main()
