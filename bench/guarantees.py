"""Each promise of the README, what proves it, the figures of its last run: `nox -s guarantees` writes the page.

Words after `--` choose promises by their commands; the others keep the figures that they have.
"""

import os
import shlex
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import parse

from ci.ground import git

ROOT = Path(__file__).parents[1]
PLACE = ROOT / "docs/guarantees.md"
NOT_PROVED, NOT_RUN = "not proved", "not run"
HEAD = """# What is promised, and what proves it

Made by `./run nox -s guarantees`, which runs every command below, on a machine with an engine and with time;
`./run nox -s guarantees -- chaos` renews what a command with that word proves.

| promise | proof | command | figures | of |
|---|---|---|---|---|
"""


class Promise(NamedTuple):
    """One promise in the README's words, the file that holds its proof, and the command that runs that."""

    words: str
    proof: str
    command: str


PROMISES = (
    Promise(
        "What got a `202` is delivered, whatever is killed, flushed or cut off.",
        "tests/stories/test_chaos.py",
        "./run nox -s chaos",
    ),
    Promise(
        "A deploy and a rollback cost no request, and one that fails leaves what ran before.",
        "tests/stories/test_swarm.py",
        "./run nox -s soak -- tests/stories/test_swarm.py -k under_load",
    ),
    Promise(
        "A deploy that was killed anywhere is finished or undone by the next one.",
        "tests/stories/test_swarm.py",
        "./run nox -s soak -- tests/stories/test_swarm.py -k killed",
    ),
    Promise(
        "One image goes from dev to prod by its digest; a rollback brings image and config back together.",
        "tests/stories/test_swarm.py",
        "./run nox -s engine -- tests/stories/test_swarm.py -k one_image",
    ),
    Promise(
        "A secret is replaced without a message lost, and the old one is refused in the end.",
        "tests/stories/test_rotation.py",
        "./run nox -s soak -- tests/stories/test_rotation.py tests/stories/test_rotation_swarm.py",
    ),
    Promise(
        "Deploys, rollbacks and rotations lose no message while containers and servers die.",
        "tests/stories/test_fire.py",
        "./run nox -s soak -- tests/stories/test_fire.py",
    ),
    Promise(
        "Plaintext is in no file, log, metric, dump, image or git object of a project, save where it belongs.",
        "tests/stories/test_markers.py",
        "./run nox -s engine -- tests/stories/test_markers.py",
    ),
    Promise(
        "The api answers what its OpenAPI document says, whatever it is asked.",
        "tests/app/test_contract.py",
        "./run nox -s soak -- tests/app/test_contract.py",
    ),
    Promise(
        "None of the attacks in `docs/attacks.md` gets through.",
        "docs/attacks.md",
        "./run nox -s attacks",
    ),
    Promise(
        "No pull request passes that has an unsealed line, a key that one environment lacks, or a secret of a "
        "kind that `docs/leaks.md` names.",
        "tests/lockstep/gates",
        "./run nox -s lockstep -- tests/lockstep/gates",
    ),
    Promise(
        "Whoever is removed opens nothing that is sealed from then on.",
        "tests/lockstep/sealing/test_recipients.py",
        "./run nox -s lockstep -- tests/lockstep/sealing",
    ),
    Promise(
        "What was changed by hand is found, and put right by a deploy.",
        "tests/stories/test_swarm.py",
        "./run nox -s engine -- tests/stories/test_swarm.py -k hand",
    ),
    Promise(
        "A node that dies, the leader, too, costs no more than the requests that it had in hand.",
        "tests/stories/test_nodes.py",
        "./run nox -s engine -- tests/stories/test_nodes.py",
    ),
    Promise(
        "Another product takes the place of the example with no file of `ci/` or `runtime/` changed.",
        "tests/stories/test_products.py",
        "./run nox -s soak -- tests/stories/test_products.py",
    ),
    Promise(
        "Every command of a runbook does what the page says.",
        "tests/stories/test_runbooks.py",
        "./run nox -s engine -- tests/stories/test_runbooks.py -m ''",
    ),
    Promise(
        "A deploy adds a second at most to what the engine takes.",
        "bench/delivery.py",
        "./run nox -s bench -- delivery",
    ),
    Promise(
        "The api and the worker do at least 0.7 of what the same libraries do without any of this.",
        "bench/load.py",
        "./run nox -s bench -- load",
    ),
)


def kept() -> dict[str, tuple[str, str]]:
    """Return figures and commit of each promise that the page has."""
    text = PLACE.read_text(encoding="utf-8") if PLACE.exists() else ""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {row[0]: (row[3], row[4]) for row in rows[1:]}


def page(known: dict[str, tuple[str, str]]) -> str:
    """Return the page."""
    rows = [
        [one.words, f"`{one.proof}`", f"`{one.command}`", *known.get(one.words, (NOT_RUN, "-"))]
        for one in PROMISES
    ]
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def run(command: str) -> str:
    """Run a command to its end and return what it told; NOT_PROVED when it fails, or no test passed."""
    with tempfile.TemporaryDirectory(prefix="lockstep-guarantees-") as folder:
        told, report = Path(folder, "told"), Path(folder, "report.xml")
        told.touch()
        environ = os.environ | {"LOCKSTEP_FIGURES": str(told), "PYTEST_ADDOPTS": f"--junitxml={report}"}
        begun = time.monotonic()
        if subprocess.run(shlex.split(command), cwd=ROOT, env=environ, check=False).returncode:  # noqa: S603, ours
            return NOT_PROVED
        minutes = (time.monotonic() - begun) / 60
        figures = [" ".join(line.split()) for line in told.read_text(encoding="utf-8").splitlines()]
        if report.exists():
            [suite] = parse(report).getroot()  # noqa: S314, pytest wrote it
            passed = int(suite.attrib["tests"]) - int(suite.attrib["skipped"])
            tests = "1 test" if passed == 1 else f"{passed} tests"
            figures = [f"{tests} passed in {minutes:.0f} min", *figures] if passed else []
    return "; ".join(figures).replace("|", "/") or NOT_PROVED


def main() -> None:
    """Renew the promises whose commands have every word that was given; exit with those that were not proved."""
    known = kept()
    chosen = [one for one in PROMISES if all(word in one.command for word in sys.argv[1:])]
    if not chosen:
        sys.exit(f"no promise has a command with {' '.join(sys.argv[1:])}")
    # Of the commit as it is now: after the first page that is written git calls it dirty.
    where = f"{git.sha(ROOT)}, {datetime.now(UTC).date()}, {os.cpu_count()} processors"
    for one in chosen:
        known[one.words] = run(one.command), where
        PLACE.write_text(page(known), encoding="utf-8")
    sys.exit("\n".join(f"not proved: {one.command}" for one in chosen if known[one.words][0] == NOT_PROVED) or 0)


if __name__ == "__main__":
    main()
