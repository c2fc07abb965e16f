"""The checks: `nox` runs lint, types, secrets and tests; the others are named. CI calls the same sessions."""

import os
from pathlib import Path

import nox

nox.needs_version = ">=2026.10.20"
nox.options.default_venv_backend = "uv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "secrets", "tests", "summary"]

LOCKS = Path("requirements")
os.environ |= {"UV_PYTHON_DOWNLOADS": "never", "UV_SYSTEM_CERTS": "1"}


def install(session: nox.Session, *locks: str) -> None:
    """Install what the lock files pin, by hash; nothing is asked of the network when it is there already."""
    wanted = b"".join((LOCKS / f"{lock}.txt").read_bytes() for lock in locks)
    stamp = Path(session.virtualenv.location) / "made-of"
    if stamp.exists() and stamp.read_bytes() == wanted:
        return
    session.install("--require-hashes", *(word for lock in locks for word in ("-r", str(LOCKS / f"{lock}.txt"))))
    stamp.write_bytes(wanted)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, with every exception explained in pyproject.toml."""
    install(session, "dev")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Types, strict."""
    install(session, "dev")
    session.run("mypy")


@nox.session
def secrets(session: nox.Session) -> None:
    """The sealing gate: secrets/ holds ciphertext alone, for exactly its recipients; --base REV adds history."""
    install(session, "dev")
    session.run("python", "-m", "ci.gates.sealing", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Every test that needs nothing but what is installed; servers are started by the tests."""
    install(session, "dev")
    session.run("pytest", "-m", "not browser", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """What a person sees, in a real Chromium; fails without one."""
    install(session, "dev")
    session.run("pytest", "-m", "browser", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Ratios against other loaders and an empty tasks.py; fails when a bound is broken."""
    install(session, "dev", "bench")
    session.run("python", "-m", "bench")


@nox.session(venv_backend="none")
def lock(session: nox.Session) -> None:
    """Renew the lock files: every platform and Python from 3.11, hashes, no index address."""
    compile_ = [
        "uv",
        "pip",
        "compile",
        "--universal",
        "--python-version",
        "3.11",
        "--generate-hashes",
        "--upgrade",
    ]
    compile_ += ["--no-header", "--no-annotate", "--no-emit-index-url", "--quiet"]
    for name in ("services", "dev", "bench"):
        same = [] if name == "services" else ["-c", str(LOCKS / "services.txt")]
        session.run(*compile_, *same, "-o", str(LOCKS / f"{name}.txt"), str(LOCKS / f"{name}.in"), external=True)


@nox.session(venv_backend="none")
def summary(session: nox.Session) -> None:
    """Say what a plain `nox` leaves out."""
    session.log("not run: nox -s browser (needs Chromium), nox -s bench (a quiet machine)")
