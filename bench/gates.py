"""The gates against what they run, and against what others cost for less."""

import base64
import io
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from dotenv import dotenv_values

from bench.measure import Program, Row, costs
from ci.gates.parity import matrix
from ci.gates.sealing import sealed
from ci.ground import repo

ROOT = Path(__file__).parents[1]
ENTRIES = 25_000
ROUNDS = 5
LINT = (["ruff", "check"], ["ruff", "format", "--check"])
GATES = ("sealing", "leaks", "parity")


def rows() -> list[Row]:
    """Return CPU ratios: gates to gitleaks, the reading of many entries to python-dotenv, Nox to what it runs."""
    return [*_processes(), *_entries()]


def _processes() -> list[Row]:
    here = repo.here()
    with tempfile.TemporaryDirectory() as folder:
        nothing = Path(folder)
        raw: list[str | Path] = [here.tool("gitleaks"), "--no-banner", "--exit-code", "0", "--redact=100"]
        programs = {
            **{name: _python(f"ci.gates.{name}") for name in GATES},
            "an empty folder": _program([*raw, "dir", nothing]),
            "nox": _python("nox", "-s", "lint", "secrets", "parity"),
            **{" ".join(argv): _python(*argv) for argv in LINT},
        }
        spent = {name: cost.cpu for name, cost in costs(programs, ROUNDS).items()}
    tools = sum(spent[name] for name in (*GATES, *(" ".join(argv) for argv in LINT)))
    return [
        ("parity, CPU / gitleaks dir, nothing in it", spent["parity"] / spent["an empty folder"], None),
        ("sealing, CPU / gitleaks dir, nothing in it", spent["sealing"] / spent["an empty folder"], None),
        ("nox -s lint secrets parity, CPU / its tools", spent["nox"] / tools, 1.25),
    ]


def _entries() -> list[Row]:
    text = _sealed(ENTRIES)
    data, more = text.encode(), _sealed(10 * ENTRIES).encode()
    read = _least(lambda: dotenv_values(stream=io.StringIO(text), interpolate=False))
    names, all_names = _least(lambda: matrix.names(data)), _least(lambda: matrix.names(more))
    whole, all_whole = _least(lambda: sealed.read("", data)), _least(lambda: sealed.read("", more))
    return [
        (f"{ENTRIES:,} keys, CPU / python-dotenv", names / read, 0.1),
        (f"{ENTRIES:,} keys and ciphertexts, CPU / the same", whole / read, None),
        ("ten times the keys, CPU", all_names / names, 11.0),
        ("ten times the ciphertexts, CPU", all_whole / whole, 11.0),
    ]


def _sealed(entries: int) -> str:
    def some(size: int) -> str:
        return base64.b64encode(secrets.token_bytes(size)).decode()

    return "".join(
        f"KEY_{number:06}=ENC[AES256_GCM,data:{some(40)},iv:{some(32)},tag:{some(16)},type:str]\n"
        for number in range(entries)
    )


def _least(work: Callable[[], object]) -> float:
    """Return the least CPU time, in seconds, of a few runs in this process."""
    spent = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        work()
        spent.append(time.process_time() - begun)
    return min(spent)


def _python(*words: str) -> Program:
    return _program([sys.executable, "-m", *words])


def _program(argv: list[str | Path], given: Path | None = None) -> Program:
    environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return Program([str(word) for word in argv], ROOT, environ, given)
