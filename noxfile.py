"""The checks: `nox` runs lint, types, the gates and tests; others are named. CI calls the same sessions."""

import os
import re
import shutil
import sys
from pathlib import Path

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2026.10.20"
nox.options.default_venv_backend = "uv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "secrets", "parity", "tests", "summary"]

LOCKS = Path("requirements")
os.environ |= {"UV_PYTHON_DOWNLOADS": "never", "UV_SYSTEM_CERTS": "1"}  # as in `run`, for a plain `nox`
if "PIP_INDEX_URL" in os.environ:
    os.environ.setdefault("UV_DEFAULT_INDEX", os.environ["PIP_INDEX_URL"])


def install(session: nox.Session, *locks: str) -> None:
    """Install what the lock files pin, by hash; the network is asked only for what was never fetched."""
    folder = Path(session.virtualenv.location).resolve()
    paths = [LOCKS / f"{lock}.txt" for lock in locks]
    stamp, wanted = folder / "made-of", b"\n".join([bytes(folder), *(path.read_bytes() for path in paths)])
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
    words = ["--no-deps", "--require-hashes", *(word for path in paths for word in ("-r", str(path)))]
    try:
        session.install("--offline", *words, log=False)
    except CommandFailed:
        session.log("not all of it was fetched before")
        session.install(*words)
    stamp.write_bytes(wanted)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, with every exception explained in pyproject.toml; and the workflows, without one."""
    install(session, "dev")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    # Without shellcheck and pyflakes, which it would ask where a machine happens to have them. Neither it nor
    # zizmor needs the network, and both fail when they find no workflow.
    session.run(".tools/bin/actionlint", "-shellcheck=", "-pyflakes=", external=True)
    session.run("zizmor", "--offline", "--persona=auditor", "--strict-collection", "--quiet", ".github")


@nox.session
def types(session: nox.Session) -> None:
    """Types, strict."""
    install(session, "dev")
    session.run("mypy")


@nox.session
def secrets(session: nox.Session) -> None:
    """The sealing gate, with --base REV over the commits since it, too; and the leaks gate over all history."""
    install(session, "dev")
    base = os.environ.get("LOCKSTEP_BASE")  # where a pull request begins, in CI
    session.run("python", "-m", "ci.gates.sealing", *(session.posargs or (["--base", base] if base else [])))
    session.run("python", "-m", "ci.gates.leaks")


@nox.session
def parity(session: nox.Session) -> None:
    """The parity gate: every environment has the same keys, and each value fits."""
    install(session, "dev")
    session.run("python", "-m", "ci.gates.parity", *session.posargs)


@nox.session
def rotation(session: nox.Session) -> None:
    """The rotation gate: no secret is overdue. Not in a plain `nox`, for time alone makes it fail."""
    install(session, "dev")
    session.run("python", "-m", "ci.gates.rotation", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Every test that needs nothing but what is installed; servers are started by the tests."""
    install(session, "dev")
    session.run("pytest", "-n", "auto", "--dist=worksteal", "-m", "not browser and not engine", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """What a person sees, in a real Chromium; fails without one."""
    install(session, "dev")
    session.run("pytest", "-m", "browser", *session.posargs)


@nox.session
def engine(session: nox.Session) -> None:
    """The image and the swarm, on a real Docker engine; fails without one."""
    install(session, "dev")
    session.run("pytest", "-m", "engine", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """The stories for long: 20 deploys and 20 rollbacks, a hundred thousand requests, a kill at every step."""
    install(session, "dev")
    session.run(
        "pytest",
        "-m",
        "engine or server",
        "-s",
        *(session.posargs or ["tests/stories"]),
        env={"LOCKSTEP_SOAK": "1"},
    )


@nox.session
def chaos(session: nox.Session) -> None:
    """A hundred kills, cuts and frozen processes under load; LOCKSTEP_SEED replays those of a run before."""
    install(session, "dev")
    session.run("pytest", "-s", "tests/stories/test_chaos.py", *session.posargs, env={"LOCKSTEP_SOAK": "1"})


@nox.session
def attacks(session: nox.Session) -> None:
    """Every attack that docs/attacks.md lists; needs a Docker engine."""
    install(session, "dev")
    tests = re.findall(r"`(tests/\S+::\w+)`", Path("docs/attacks.md").read_text(encoding="utf-8"))
    if not tests:
        session.error("docs/attacks.md lists none")  # pytest would run all there is
    session.run("pytest", *tests, *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Ratios against other loaders and an empty tasks.py; fails when a bound is broken."""
    install(session, "dev", "bench")
    session.run("python", "-m", "bench", *session.posargs)


@nox.session
def peers(session: nox.Session) -> None:
    """The gates' own cases through the gates and their peers; writes docs/peers.md."""
    install(session, "dev", "bench")
    session.run("python", "-m", "bench.peers", *session.posargs)


@nox.session(venv_backend="none")
def guarantees(session: nox.Session) -> None:
    """Run what proves each promise of the README and write docs/guarantees.md; words choose by command."""
    session.run(sys.executable, "-m", "bench.guarantees", *session.posargs)


@nox.session(venv_backend="none")
def lock(session: nox.Session) -> None:
    """Bring the lock files in line with the .in files; `-- --upgrade` renews everything that they pin."""
    words = "pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate"
    for name in ("services", "dev", "bench"):  # what the image holds decides for the other two
        same = [] if name == "services" else ["-c", str(LOCKS / "services.txt")]
        where = [*same, "-o", str(LOCKS / f"{name}.txt"), str(LOCKS / f"{name}.in")]
        session.run(
            sys.executable,
            "-m",
            "uv",
            *words.split(),
            "--no-emit-index-url",
            *session.posargs,
            *where,
            external=True,
        )


@nox.session(venv_backend="none")
def summary(session: nox.Session) -> None:
    """Say what a plain `nox` leaves out."""
    session.log(
        "not run: nox -s browser (needs Chromium), nox -s engine attacks soak (need a Docker engine, which "
        ".ci/engine starts), nox -s chaos (takes minutes), nox -s bench peers (want a quiet machine), "
        "nox -s rotation (fails by time alone)"
    )
