"""The layers of ci/: which way imports point, and that every test says what it is about."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WINGS = ["ci.ground", "ci.sealing", "ci.gates", "ci.delivery", "ci.rotation", "ci.cli"]


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("wing", [wing for wing in WINGS if sources(wing.replace(".", "/"))])
def test_a_wing_imports_only_from_those_above_it(wing: str) -> None:
    """ground, sealing, gates, delivery, rotation: dependencies point one way."""
    allowed = WINGS[: WINGS.index(wing) + 1]
    found = {name for path in sources(wing.replace(".", "/")) for name in imports(path) if name.startswith("ci.")}

    assert set() == {name for name in found if not name.startswith(tuple(allowed))}


def test_runtime_imports_nothing_of_ours() -> None:
    """An image holds runtime/ without ci/."""
    found = {name.split(".")[0] for path in sources("runtime") for name in imports(path)}

    assert sources("runtime")
    assert set() == found & {"app", "ci", "model", "sandbox", "tasks", "tests", "worker"}


def test_the_servers_need_few_packages() -> None:
    """The product's tests start Postgres and Redis by ci/, without the packages that the rest of it needs."""
    program = (
        "import sys, types; runtime = types.ModuleType('runtime'); runtime.Secret = str; "
        "sys.modules['runtime'] = runtime; import ci.delivery.servers, ci.ground.ports; print(*sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    loaded = set(done.stdout.split())
    assert {"ci.delivery.servers", "psutil", "psycopg", "redis"} <= loaded
    assert set() == loaded & {"cerberus", "certifi", "docker", "httpx", "invoke", "requests", "twilio", "yaml"}


def test_subprocesses_start_at_one_door() -> None:
    """Only ci/ground/command.py imports subprocess, and nothing calls os.system or a shell."""
    users = [
        path for folder in ("ci", "runtime") for path in sources(folder) if "subprocess" in set(imports(path))
    ]

    assert [ROOT / "ci/ground/command.py"] == users


def test_every_test_says_what_it_is_about() -> None:
    """Each test function has a docstring of one sentence."""
    silent = [
        f"{path.name}:{node.name}"
        for path in sources("tests/lockstep")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]

    assert [] == silent


def test_a_deploy_imports_no_ssh() -> None:
    """Paramiko takes longest to import: the docker SDK finds it, unloaded until something of it is asked for."""
    program = (
        "import sys, ci.delivery.engines.swarm as _, paramiko; loaded = 'paramiko.transport' in sys.modules; "
        "print(loaded, paramiko.SSHClient.__name__, 'paramiko.transport' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True)

    assert b"False SSHClient True\n" == done.stdout
