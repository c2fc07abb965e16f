"""Whether the tests notice wrong code: `nox -s mutation` changes it in thousands of places, one at a time.

mutmut makes the mutants, in a copy of this checkout; `bench/mutants.py` runs each against the tests that call the
changed function. Modules that only compute are mutated wholly, and of the others a sample is drawn. A mutant that
no test kills is a gap in the tests, unless bench/mutants.toml explains why it changes nothing that matters.
"""

import argparse
import difflib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mutmut.mutation.file_mutation import MutatedFile, mutate_file_contents
from mutmut.utils.format_utils import get_mutant_name

from bench import mutants
from tests import checkouts, figures

LEAST = 95  # percent of the mutants, which tests kill
SAMPLE, SEED = 300, "15"
QUICK = "not browser and not engine"
EXPLAINED = checkouts.ROOT / "bench/mutants.toml"

GROUND = "tests/lockstep/ground"
# The modules that only compute, whose mutants are all run, below the tests of each. Parsers whose tests all make a
# checkout, so that a survivor takes a minute, are left to the sample.
WHOLE = {
    "tests/lockstep/runtime/test_loader.py": ["runtime/loader.py"],
    "tests/lockstep/runtime/test_secret.py": ["runtime/secret.py"],
    "tests/lockstep/ground/test_documents.py tests/lockstep/ground/test_environments.py": [
        "ci/ground/documents.py",
        "ci/ground/environments.py",
    ],
    "tests/lockstep/ground/test_dotenv.py": ["ci/ground/dotenv.py"],
    "tests/lockstep/ground/test_redaction.py": ["ci/ground/redaction.py"],
    f"{GROUND}/test_keys.py {GROUND}/test_schema.py tests/lockstep/runtime/test_rules.py": [
        "ci/ground/metaschema.py",
        "ci/ground/schema.py",
        "runtime/rules.py",
    ],
    "tests/lockstep/delivery/test_changes.py tests/lockstep/delivery/test_plan.py": ["ci/delivery/plan.py"],
    "tests/lockstep/delivery/test_release.py": ["ci/delivery/release.py"],
    "tests/lockstep/gates/test_exceptions.py tests/lockstep/gates/test_shared.py": ["ci/gates/exceptions.py"],
    "tests/lockstep/gates/test_exceptions.py tests/lockstep/gates/test_rules.py": [
        "ci/gates/finding.py",
        "ci/gates/rules.py",
    ],
    "tests/lockstep/gates/sealing/test_age.py": ["ci/gates/sealing/age.py"],
    "tests/lockstep/gates/leaks/test_cases.py tests/lockstep/gates/leaks/test_judge.py": [
        "ci/gates/leaks/encodings.py",
        "ci/gates/leaks/judge.py",
        "ci/gates/leaks/lines.py",
        "ci/gates/leaks/parsed.py",
        "ci/gates/leaks/values.py",
    ],
    "tests/app/test_guard.py tests/app/test_parsing.py": ["app/parsing.py", "app/tokens.py"],
}
GENERATED = "runtime/keys.py"


@dataclass(frozen=True)
class Mutant:
    """One change: the function, the line or lines that it makes there, or after `-` the one that it removes."""

    module: str
    function: str
    change: str

    def __str__(self) -> str:
        return f"{self.module} {self.function}: {self.change}"


def main() -> int:
    """Print the score and the survivors; return 0 when the score is reached and no explanation is stale."""
    words = argparse.ArgumentParser(prog="nox -s mutation --", description=__doc__)
    words.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many mutants run at once")
    words.add_argument("--sample", type=int, default=SAMPLE, help="how many mutants of the other modules to run")
    words.add_argument("--sampled", action="store_true", help="run those alone")
    words.add_argument("modules", nargs="*", help="run all mutants of these modules, and no other")
    given = words.parse_args()
    fates: list[tuple[Mutant, str]] = []
    for tests, names in _chosen(given.modules, given.sample, sampled=given.sampled).items():
        with tempfile.TemporaryDirectory(prefix="lm-") as folder:
            fates += _run(Path(folder), tests, names, given.jobs)
    return _report(fates, tomllib.loads(EXPLAINED.read_text(encoding="utf-8"))["mutants"])


def _chosen(modules: Sequence[str], sample: int, *, sampled: bool = False) -> dict[str, dict[str, Sequence[str]]]:
    """Return the names of the mutants to run, by their tests and their module."""
    whole = {module: tests for tests, names in WHOLE.items() for module in names}
    wanted = modules or (() if sampled else whole)
    drawn: dict[str, list[str]] = {module: list(_mutated(module).mutant_names) for module in wanted}
    if not modules and sample:
        others = [name for name in checkouts.tracked("app/*.py", "ci/*.py", "runtime/*.py") if name != GENERATED]
        lots = [
            (module, name) for module in others if module not in whole for name in _mutated(module).mutant_names
        ]
        for module, name in sorted(lots, key=_lot)[:sample]:
            drawn.setdefault(module, []).append(name)
    chosen: dict[str, dict[str, Sequence[str]]] = {}
    for module, names in drawn.items():
        chosen.setdefault(whole.get(module) or _tests(module), {})[module] = names
    return chosen


def _lot(mutant: tuple[str, str]) -> bytes:
    """Return what decides whether a mutant is drawn: an edit of one function leaves the others' lots."""
    return hashlib.sha256(f"{SEED} {mutant}".encode()).digest()


def _tests(module: str) -> str:
    """Return the folder of the tests of a module: tests/lockstep mirrors ci/ and runtime/."""
    place = Path(module.removeprefix("ci/")).parent
    own = Path("tests") if module.startswith("app/") else Path("tests/lockstep")
    while not (checkouts.ROOT / own / place).is_dir():
        place = place.parent
    return str(own / place)


@cache
def _mutated(module: str) -> MutatedFile:
    return mutate_file_contents(module, (checkouts.ROOT / module).read_text(encoding="utf-8"))


def _run(folder: Path, tests: str, modules: Mapping[str, Sequence[str]], jobs: int) -> list[tuple[Mutant, str]]:
    """Run mutants, which are given by module, in a copy of this checkout; return what became of each."""
    folder.chmod(0o755)  # where root runs this, Postgres runs as somebody else
    copy = folder / "copy"
    checkouts.copy({name: checkouts.ROOT / name for name in checkouts.tracked()}, copy)
    checkouts.tools(copy)
    known: dict[str, Mutant] = {}
    for module, names in modules.items():
        (copy / module).write_text(_mutated(module).code, encoding="utf-8")
        known |= {get_mutant_name(Path(module), name): _described(module, name) for name in names}
    checkouts.git(copy, "init", "-q", "-b", "main")
    checkouts.git(copy, "add", "-A")
    checkouts.git(copy, "commit", "-qm", "the tree under test")
    order, fates = folder / "order", folder / "fates"
    order.write_text(json.dumps({"mutants": list(known), "jobs": jobs}), encoding="utf-8")
    environ = os.environ | {mutants.ORDER: str(order), mutants.FATES: str(fates)}
    plugins = [word for name in ("bench.mutants", "no:xdist", "no:cacheprovider") for word in ("-p", name)]
    words = ["-m", "pytest", "-q", "--tb=native", "--hypothesis-seed=0", *plugins, "-m", QUICK, *tests.split()]
    words = [sys.executable, *words]
    done = subprocess.run(words, cwd=copy, env=environ, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    answer = json.loads(fates.read_bytes())
    for name in answer["failing"]:
        figures.tell(f"left out, for it fails without a mutant: {name}")
    return [(known[name], fate) for name, fate in answer["fates"].items()]


def _described(module: str, name: str) -> Mutant:
    """Return a mutant as bench/mutants.toml has it."""
    mangled = name.partition("__mutmut_")[0]
    function = mangled.removeprefix("xǁ").removeprefix("x_").replace("ǁ", ".")
    before, after = (_lines(module, each) for each in (f"{mangled}__mutmut_orig", name))
    difference = list(difflib.ndiff(before, after))
    added = [line[2:] for line in difference if line.startswith("+ ")]
    return Mutant(module, function, " ".join(added) or next(line for line in difference if line.startswith("- ")))


def _lines(module: str, name: str) -> list[str]:
    """Return the lines of a function that mutmut wrote, without its name and the indentation."""
    span = _mutated(module).line_span_by_function_name[name]
    lines = _mutated(module).code.splitlines()[span.start - 1 : span.end]
    return [line.replace(f"{name}(", "(").strip() for line in lines]


def _report(fates: Sequence[tuple[Mutant, str]], entries: Sequence[Mapping[str, Any]]) -> int:
    """Print the survivors that nothing explains, and the score of each module and of all."""
    explained = {
        Mutant(each["module"], each["function"], change) for each in entries for change in each["changes"]
    }
    survivors = [(mutant, fate) for mutant, fate in fates if fate != "killed"]
    for mutant, fate in survivors:
        if mutant not in explained:
            figures.tell(f"{fate}: {mutant}")
    ran, lost = (Counter(mutant.module for mutant, _ in some) for some in (fates, survivors))
    stale = [mutant for mutant in explained if mutant.module in ran and mutant not in dict(survivors)]
    for mutant in stale:
        figures.tell(f"explained in bench/mutants.toml, and not a survivor: {mutant}")
    for module, count in sorted(ran.items()):
        figures.tell(f"{module:<44} {count - lost[module]:>5} / {count}")
    score = 100 * (1 - len(survivors) / len(fates))
    figures.tell(
        f"{'killed, all':<44} {len(fates) - len(survivors):>5} / {len(fates)}, {score:.1f} %, least {LEAST} %"
    )
    return 0 if score >= LEAST and not stale else 1


if __name__ == "__main__":
    sys.exit(main())
