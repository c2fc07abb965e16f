"""The layers of the code: which way imports point, who prints and who starts programs, what every test says."""

import ast
import re
import subprocess
import sys

import pytest

from ci.delivery import engines
from tests import checkouts
from tests.lockstep.sources import (
    ROOT,
    STARTS_PROGRAMS,
    TALKS_TO_A_TERMINAL,
    core,
    defined,
    files,
    imports,
    matching,
    parse,
)

LAYERS = ["ci.ground", "ci.sealing", "ci.gates", "ci.delivery", "ci.rotation", "ci.cli"]


@pytest.mark.parametrize("layer", [layer for layer in LAYERS if files(layer.replace(".", "/"))])
def test_a_layer_imports_only_from_those_before_it(layer: str) -> None:
    """Dependencies point one way, from cli to ground; only entry points reach for the cli from below."""
    allowed = LAYERS[: LAYERS.index(layer) + 1]
    found = {
        name for path in files(layer.replace(".", "/")) for name in imports(core(path)) if name.startswith("ci.")
    }

    assert set() == {name for name in found if not name.startswith(tuple(allowed))}


def test_runtime_imports_nothing_of_ours() -> None:
    """An image holds runtime/ without ci/."""
    found = {name.split(".")[0] for path in files("runtime") for name in imports(parse(path))}

    assert files("runtime")
    assert set() == found & {"app", "ci", "model", "sandbox", "tasks", "tests", "worker"}


def test_the_servers_need_few_packages() -> None:
    """The product's tests start Postgres and Redis by ci/, without the packages that the rest of it needs."""
    program = "import sys, ci.delivery.servers, ci.ground.ports; print(*sys.modules)"

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    loaded = set(done.stdout.split())
    assert {"ci.delivery.servers", "psutil", "psycopg", "redis"} <= loaded
    assert set() == loaded & {"cerberus", "certifi", "docker", "httpx", "invoke", "requests", "twilio", "yaml"}


@pytest.mark.parametrize(
    "source",
    [
        "import subprocess",
        "import subprocess as programs",
        "from subprocess import run",
        "from subprocess import run as start",
        "from subprocess import *",
        "__import__('subprocess')",
        "import importlib\nimportlib.import_module('subprocess')",
        "import _posixsubprocess",
        "import os\nos.system('a')",
        "import os as system\nsystem.system('a')",
        "from os import system",
        "from os import *",
        "import os\nstart = os.popen",
        "from os import popen as start",
        "import os\nos.execv('a', [])",
        "from os import execvpe",
        "import os\nos.spawnlp(os.P_WAIT, 'a')",
        "import os\nos.posix_spawn('a', [], {})",
        "import os\nos.fork()",
        "import pty\npty.spawn('a')",
        "from pty import fork",
        "import asyncio\nasyncio.create_subprocess_exec('a')",
        "from asyncio import create_subprocess_shell",
        "from asyncio import subprocess",
        "import asyncio.subprocess",
        "async def f(loop):\n    await loop.subprocess_exec(None, 'a')",
        "import asyncio\nasyncio.get_running_loop().subprocess_shell(None, 'a')",
        "import multiprocessing",
        "from multiprocessing import Process",
        "from concurrent.futures import ProcessPoolExecutor",
        "import concurrent.futures\nconcurrent.futures.ProcessPoolExecutor()",
        "import psutil\npsutil.Popen(['a'])",
    ],
)
def test_each_way_to_start_a_program_is_seen(source: str) -> None:
    """By whatever name a module gets at it."""
    assert matching(STARTS_PROGRAMS, ast.parse(source))


def test_one_module_starts_programs() -> None:
    """Only ci/ground/command.py starts a program, in whatever way; in an image the entrypoint becomes one."""
    folders = ("ci", "runtime")
    starting = [path for folder in folders for path in files(folder) if matching(STARTS_PROGRAMS, parse(path))]

    assert [ROOT / "ci/ground/command.py", ROOT / "runtime/entry.py"] == starting


@pytest.mark.parametrize(
    "source",
    [
        "print('a')",
        "list(map(print, 'a'))",
        "import builtins\nbuiltins.print('a')",
        "input('a')",
        "import getpass\ngetpass.getpass()",
        "from getpass import getpass",
        "import sys\nsys.stdout.write('a')",
        "import sys as system\nout = system.stderr",
        "from sys import stdin",
        "import sys\nsys.__stdout__.write('a')",
        "from ci.cli import console",
        "import ci.cli.console",
        "from ci import cli\ncli.console.say('a')",
    ],
)
def test_each_way_to_a_terminal_is_seen(source: str) -> None:
    """By whatever name a module gets at it."""
    assert matching(TALKS_TO_A_TERMINAL, ast.parse(source))


def test_the_core_is_silent() -> None:
    """Nothing of ci/ outside ci/cli prints or reads a terminal, but for entry points."""
    below = [path for path in files("ci") if not path.is_relative_to(ROOT / "ci/cli")]

    assert {} == {path: found for path in below if (found := matching(TALKS_TO_A_TERMINAL, core(path)))}
    assert any(matching(TALKS_TO_A_TERMINAL, parse(path)) for path in below), "an entry point is left out, so far"


NAMES = frozenset({"local", "dev", "staging", "prod", *engines.ENGINES})
NAMED = {  # where a name is meant as a word, and why
    "ci/delivery/engines/__init__.py": "the registry",
    "ci/ground/toolchain.py": "what Go calls the toolchain that is installed",
    "ci/sealing/hosts.py": "how the names of environments are spelled in hosts",
}


def test_nothing_asks_for_an_environment_or_an_engine_by_name() -> None:
    """Outside of the engines the core asks for traits: no text is one of those names, or an option with one."""
    option = re.compile(rf"--(env|to)[= ]({'|'.join(NAMES)})\b")
    below = [path for path in files("ci") if not path.is_relative_to(ROOT / "ci/delivery/engines/swarm")]
    found = {
        str(path.relative_to(ROOT))
        for path in below
        if not path.is_relative_to(ROOT / "ci/delivery/engines/processes")
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and (node.value in NAMES or option.search(node.value))
    }

    assert NAMED.keys() == found


OF_THE_EXAMPLE = re.compile(r"\b(sms|smtp|e-?mails?|inbox|twilio|notifications?|sandbox)\b", re.IGNORECASE)
SPOKEN = {  # where such a word is not the example's, and why
    "ci/gates/parity/libraries.py": "what django-environ calls a method of its own",
    "ci/delivery/image/parts.py": "the metadata of a wheel, which Python's email.parser reads",
}


def test_lockstep_knows_no_product() -> None:
    """No word of the example product is in a managed file, but for what its schema generates and lock files."""
    of_the_team = {"runtime/keys.py", "ci/requirements.txt"}
    names = set(checkouts.tracked("ci", "runtime", "run", "tasks.py", "noxfile.py")) - of_the_team
    found = {name for name in names if OF_THE_EXAMPLE.search((ROOT / name).read_text(encoding="utf-8"))}

    assert SPOKEN.keys() == found


def test_one_module_runs_git() -> None:
    """Only ci/ground/git.py, which hardens it, has git among the words of a command."""
    running = {
        path
        for path in files("ci")
        for node in ast.walk(parse(path))
        if isinstance(node, ast.List | ast.Tuple) and node.elts
        if isinstance(node.elts[0], ast.Constant) and node.elts[0].value == "git"
    }

    assert {ROOT / "ci/ground/git.py"} == running


RETIRED = {"house", "wing", "voice", "door", "verb", "cure", "cured", "prove", "proven", "edge", "edges"}
RETIRED |= {"needle", "wish", "told", "mend", "mended", "canary", "canaries"}


def test_retired_words_name_nothing() -> None:
    """No module, function, class, argument or variable of ci/, runtime/ or an entry point has one in its name."""
    paths = [*files("ci"), *files("runtime"), ROOT / "tasks.py", ROOT / "noxfile.py"]
    named = {(path.name, name) for path in paths for name in {path.stem, *defined(parse(path))}}

    assert set() == {(place, name) for place, name in named if RETIRED & set(name.lower().split("_"))}
    assert ("repo.py", "state_of") in named


def test_every_test_says_what_it_is_about() -> None:
    """Each test function has a docstring of one sentence."""
    silent = [
        f"{path.name}:{node.name}"
        for path in files("tests/lockstep")
        for node in ast.walk(parse(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]

    assert [] == silent


def test_a_deploy_imports_no_ssh() -> None:
    """Paramiko takes longest to import: the docker SDK finds it, unloaded until something of it is asked for."""
    program = (
        "import sys, ci.delivery.engines.swarm.engine as _, paramiko; "
        "loaded = 'paramiko.transport' in sys.modules; "
        "print(loaded, paramiko.SSHClient.__name__, 'paramiko.transport' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True)

    assert b"False SSHClient True\n" == done.stdout
