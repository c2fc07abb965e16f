"""The checks: `nox` runs lint, types, the gates and the tests; others are named. CI calls the same sessions.

In the template a plain `nox` runs Lockstep's own tests as well. In a repository that a team has made theirs it
runs the product's alone, and the sessions that are about the template do nothing.
"""

import os
import re
import shutil
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import nox
import yaml
from nox.command import CommandFailed

CI = ["ci/requirements.txt"]
LOCKSTEP = [*CI, "requirements/lockstep.txt"]
SCHEMA = yaml.safe_load(Path("config/schema.yaml").read_bytes())
SETUPS = [part.get("setup", {}) for part in (SCHEMA, *SCHEMA["services"].values())]
DEV = "requirements/dev.txt"  # what checks and tests of the product need beside its own packages
PRODUCT = [*dict.fromkeys(lock for setup in SETUPS for lock in setup.get("python", [])), DEV]
EVERYTHING = [*LOCKSTEP, *PRODUCT]  # installed together in the template alone, where all locks agree

PROJECT = re.findall(r"(?m)^project: *(\S+)", Path("config/environments.yaml").read_text(encoding="utf-8"))
TEMPLATE = PROJECT == ["lockstep-template"]  # no team has made this repository theirs
PARTS = {"lockstep": ["ci", "noxfile.py", "tasks.py", "tests/lockstep"]}
PARTS |= {"template": ["bench", "tests/stories", "tests/template"]}
APART = ["tests/lockstep", "tests/stories", "tests/template"]  # all other tests are the product's
QUICK = "not browser and not engine"
OURS = tomllib.loads(Path("ci/managed.toml").read_text(encoding="utf-8"))["managed"]

nox.needs_version = ">=2026.10.20"
nox.options.default_venv_backend = "uv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "secrets", "parity", "tests"]
nox.options.sessions += ["lockstep", "template", "summary"] if TEMPLATE else []

os.environ |= {"UV_PYTHON_DOWNLOADS": "never", "UV_SYSTEM_CERTS": "1"}  # as in `run`, for a plain `nox`
if "PIP_INDEX_URL" in os.environ:
    os.environ.setdefault("UV_DEFAULT_INDEX", os.environ["PIP_INDEX_URL"])


def install(session: nox.Session, locks: Sequence[str]) -> None:
    """Install what the lock files pin, by hash; the network is asked only for what was never fetched."""
    folder = Path(session.virtualenv.location).resolve()
    stamp, wanted = folder / "made-of", b"\n".join([bytes(folder), *(Path(lock).read_bytes() for lock in locks)])
    made = stamp.read_bytes() if stamp.exists() else b""
    if made == wanted:
        return
    # Scripts in an environment that was moved name its old path; one that was interrupted may hold half a package,
    # which uv takes for a whole one: both start over.
    if not made.startswith(bytes(folder) + b"\n"):
        for packages in folder.glob("lib/*/site-packages"):
            shutil.rmtree(packages)
            packages.mkdir()
    stamp.unlink(missing_ok=True)
    words = ["--no-deps", "--require-hashes", *(word for lock in locks for word in ("-r", lock))]
    try:
        session.install("--offline", *words, log=False)
    except CommandFailed:
        session.log("not all of it was fetched before")
        session.install(*words)
    stamp.write_bytes(wanted)


def test(session: nox.Session, locks: Sequence[str], paths: Sequence[str], *words: str, **environ: str) -> None:
    """Run pytest on these paths, or on those that were given after `--`."""
    install(session, locks)
    given = any(word and Path(word.partition("::")[0]).exists() for word in session.posargs)
    none_is_fine = [] if TEMPLATE else [5]  # pytest's code when no test was selected
    words = (*words, *([] if given else paths), *session.posargs)
    session.run("pytest", *words, env=environ, success_codes=[0, *none_is_fine])


def only_in_the_template(session: nox.Session) -> None:
    """End a session that is about the template where a team has made the repository theirs."""
    if not TEMPLATE:
        session.skip(f"it is about lockstep-template, this repository is {' '.join(PROJECT)}'s")


def only_with(session: nox.Session, path: str) -> None:
    """End a session that is about what this product does not have."""
    if not Path(path).exists():
        session.skip(f"{path} does not exist")


@nox.session
def lint(session: nox.Session) -> None:
    """Style, with every exception explained in pyproject.toml; and the workflows, without one."""
    install(session, ["requirements/lockstep.txt"])
    ours = [] if TEMPLATE else [Path(path).resolve() for path in OURS]  # a team has a style of its own
    apart = [word for path in ours for word in ("--extend-exclude", str(path))]
    session.run("ruff", "check", *apart)
    session.run("ruff", "format", "--check", *apart)
    if not Path(".github/workflows").exists():
        return
    # Without shellcheck and pyflakes, which it would ask where a machine happens to have them. Neither it nor
    # zizmor needs the network, and both fail when they find no workflow.
    session.run(".tools/bin/actionlint", "-shellcheck=", "-pyflakes=", external=True)
    session.run("zizmor", "--offline", "--persona=auditor", "--strict-collection", "--quiet", ".github")


@nox.session
@nox.parametrize("part", ["product", *(PARTS if TEMPLATE else [])], ids=["product", *(PARTS if TEMPLATE else [])])
def types(session: nox.Session, part: str) -> None:
    """Types, strict: the product against its packages, Lockstep against its own."""
    only_with(session, DEV)
    install(session, {"product": PRODUCT, "lockstep": LOCKSTEP}.get(part, EVERYTHING))
    tools = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8")).get("tool", {})
    checked = tools.get("mypy", {}).get("files", [])
    if not checked:
        session.skip("pyproject.toml does not say what mypy checks: [tool.mypy] files = […]")
    apart = {path for paths in PARTS.values() for path in paths}
    paths = PARTS.get(part, [path for path in checked if path not in apart])
    session.run("mypy", f"--cache-dir=.mypy_cache/{part}", *paths)


@nox.session(venv_backend="none")
def secrets(session: nox.Session) -> None:
    """The sealing gate, after LOCKSTEP_BASE over each commit since, too; and the leaks gate over all history."""
    base = os.environ.get("LOCKSTEP_BASE", "").strip("0")  # where a pull request or a push begins, in CI
    words = session.posargs or ([f"--history={base}..HEAD"] if base else [])
    session.run(sys.executable, "-m", "ci.gates.sealing", *words)
    session.run(sys.executable, "-m", "ci.gates.leaks")


@nox.session(venv_backend="none")
def parity(session: nox.Session) -> None:
    """The parity gate: every environment has the same keys, and each value fits."""
    session.run(sys.executable, "-m", "ci.gates.parity", *session.posargs)


@nox.session(venv_backend="none")
@nox.parametrize("gate", ["sealing", "leaks", "parity", "loosened"])
def gates(session: nox.Session, gate: str) -> None:
    """Every gate over the commits from `--base` to `--head`, by the rules of the base; `--law=head`: its own."""
    session.run(sys.executable, "-m", f"ci.gates.{gate}", *session.posargs)


@nox.session(venv_backend="none")
def loosened(session: nox.Session) -> None:
    """What a head allows and its base does not: `-- --base=REV`."""
    session.run(sys.executable, "-m", "ci.gates.loosened", *session.posargs)


@nox.session(venv_backend="none")
def rotation(session: nox.Session) -> None:
    """The rotation gate: no secret is overdue. Not in a plain `nox`, for time alone makes it fail."""
    session.run(sys.executable, "-m", "ci.gates.rotation", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """The product's tests, but for those that need a browser; they start their servers themselves."""
    only_with(session, DEV)
    only_with(session, "tests")
    apart = [f"--ignore={path}" for path in APART]
    test(session, PRODUCT, ["tests", *apart], "-n", "auto", "--dist=worksteal", "-m", QUICK)


@nox.session
def browser(session: nox.Session) -> None:
    """What a person sees, in a real Chromium; fails without one."""
    only_with(session, DEV)
    only_with(session, "tests")
    test(session, PRODUCT, ["tests", *(f"--ignore={path}" for path in APART)], "-m", "browser")


@nox.session
def lockstep(session: nox.Session) -> None:
    """Lockstep's own tests, on a project of their own and without the product's packages."""
    only_with(session, "tests/lockstep")
    test(session, LOCKSTEP, ["tests/lockstep"], "-n", "auto", "--dist=worksteal", "-m", QUICK)


@nox.session
def template(session: nox.Session) -> None:
    """The template: its documents and workflows, and the stories of Lockstep with the example product."""
    only_in_the_template(session)
    paths = ["tests/template", "tests/stories"]
    test(session, EVERYTHING, paths, "-n", "auto", "--dist=worksteal", "-m", QUICK)


@nox.session
def engine(session: nox.Session) -> None:
    """The image and the swarm, on a real Docker engine; fails without one."""
    only_in_the_template(session)
    test(session, EVERYTHING, APART, "-m", "engine")


@nox.session
def soak(session: nox.Session) -> None:
    """The stories for long: 20 deploys and 20 rollbacks, a hundred thousand requests, a kill at every step."""
    only_in_the_template(session)
    test(session, EVERYTHING, ["tests/stories"], "-m", "engine or server", "-s", LOCKSTEP_SOAK="1")


@nox.session
def chaos(session: nox.Session) -> None:
    """A hundred kills, cuts and frozen processes under load; LOCKSTEP_SEED replays those of a run before."""
    only_in_the_template(session)
    test(session, EVERYTHING, ["tests/stories/test_chaos.py"], "-s", LOCKSTEP_SOAK="1")


@nox.session
def attacks(session: nox.Session) -> None:
    """Every attack that docs/attacks.md lists; needs a Docker engine."""
    only_in_the_template(session)
    listed = re.findall(r"`(tests/\S+::\w+)`", Path("docs/attacks.md").read_text(encoding="utf-8"))
    if not listed:
        session.error("docs/attacks.md lists none")  # pytest would run all there is
    test(session, EVERYTHING, listed)


def measure(session: nox.Session, module: str) -> None:
    """Run a module of bench with everything that it compares."""
    only_in_the_template(session)
    install(session, [*EVERYTHING, "requirements/bench.txt"])
    session.run("python", "-m", module, *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Ratios against other loaders and an empty tasks.py; fails when a bound is broken."""
    measure(session, "bench")


@nox.session
def peers(session: nox.Session) -> None:
    """The gates' own cases through the gates and their peers; writes docs/peers.md."""
    measure(session, "bench.peers")


@nox.session
def corpus(session: nox.Session) -> None:
    """Recall, precision and F1 of the leaks gate and its peers on a corpus: nox -s corpus -- FOLDER."""
    measure(session, "bench.leaks")


@nox.session
def mutation(session: nox.Session) -> None:
    """Whether tests notice wrong code: all mutants of modules that only compute, and a sample of the others."""
    measure(session, "bench.mutation")


@nox.session(venv_backend="none")
def guarantees(session: nox.Session) -> None:
    """Run what proves each promise of the README and write docs/guarantees.md; words choose by command."""
    only_in_the_template(session)
    session.run(sys.executable, "-m", "bench.guarantees", *session.posargs)


@nox.session(venv_backend="none")
def lock(session: nox.Session) -> None:
    """Bring the lock files in line with the .in files; `-- --upgrade` renews everything that they pin."""
    words = "pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate"
    of_ci, (of_the_image, *others) = "ci/requirements", [lock.removesuffix(".txt") for lock in PRODUCT]
    stands_on = {of_ci: "", "requirements/lockstep": of_ci, of_the_image: ""}  # each decides for those on it
    stands_on |= dict.fromkeys(others, of_the_image) | {"requirements/bench": DEV.removesuffix(".txt")}
    for name, base in stands_on.items():
        if not Path(f"{name}.in").exists():
            continue
        same = ["-c", f"{base}.txt"] if base else []
        where = [*same, "-o", f"{name}.txt", f"{name}.in"]
        uv = [sys.executable, "-m", "uv", *words.split(), "--no-emit-index-url"]
        session.run(*uv, *session.posargs, *where, external=True)


@nox.session(venv_backend="none")
def summary(session: nox.Session) -> None:
    """Say what a plain `nox` leaves out."""
    session.log(
        "not run: nox -s browser (needs Chromium), nox -s engine attacks soak (need a Docker engine, which "
        ".ci/engine starts), nox -s chaos (takes minutes), nox -s bench peers (want a quiet machine), "
        "nox -s mutation (takes an hour), nox -s rotation (fails by time alone)"
    )
