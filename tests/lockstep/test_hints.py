"""Every command that a message of Lockstep names is one that exists, with these options, and does something."""

import ast
import importlib.util
import re
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from invoke.parser import Parser

import tasks
from tests import checkouts

CI = checkouts.ROOT / "ci"
OPTION = r"(?: --[a-z][a-z-]*(?:=[^\s,;:()]*)?)*"
INV = re.compile(rf"(?<![\w.-])inv ([a-z]+(?:\.[a-z]+)*)({OPTION})")
GIT = re.compile(rf"(?<![\w.-])git ([a-z-]+)({OPTION})")
NOX = re.compile(r"(?<![\w.-])nox -s ([a-z]+)")
MODULE = re.compile(r"python -m (ci\.[a-z.]*[a-z])")
# A value for each option, whatever a message has in its place.
VALUES = {
    "env": "dev",
    "key": "SMTP_PASSWORD",
    "to": "staging",
    "sha": "HEAD",
    "force": "a reason",
    "service": "api",
    "push": "registry",
    "recipient": "age1",
    "name": "ada",
}
# They wait for a person, or begin what takes minutes, when no environment is named: that of this machine is meant.
ON_THIS_MACHINE = ("deploy", "logs", "stop", "status", "history", "init")


def texts() -> Iterator[str]:
    """Yield every text of ci/ that is not a docstring, with X in place of what is filled in."""
    for path in sorted(CI.rglob("*.py")):
        tree = ast.parse(path.read_text())
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
        docs = {id(node.body[0].value) for node in ast.walk(tree) if isinstance(node, documented) and _says(node)}  # type: ignore[attr-defined]
        inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs | inner:
                yield node.value


def _says(node: ast.Module | ast.ClassDef | ast.FunctionDef) -> bool:
    return ast.get_docstring(node) is not None


def named(pattern: re.Pattern[str]) -> list[tuple[str, ...]]:
    """Return what a pattern finds in the texts, each once."""
    return sorted({match.groups() for text in texts() for match in pattern.finditer(text)})


def options(listed: str) -> list[str]:
    """Return options with values that they can have."""
    parts = (word.partition("=") for word in listed.split())
    return [f"{name}={VALUES[name.lstrip('-')]}" if equals else name for name, equals, _ in parts]


COMMANDS = sorted({(task, *options(listed)) for task, listed in named(INV)})
RUNNABLE = [words for words in COMMANDS if "--env=dev" in words or words[0] not in ON_THIS_MACHINE]


def test_messages_name_commands() -> None:
    """What is looked for is found at all."""
    assert len(COMMANDS) > 30
    assert ("set", "--env=dev", "--key=SMTP_PASSWORD") in COMMANDS
    assert ("fetch", " --unshallow") in named(GIT)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_task_of_a_message_exists(words: tuple[str, ...]) -> None:
    """Invoke knows the task and takes its options."""
    parsed = Parser(contexts=tasks.namespace.to_contexts()).parse_argv(list(words))

    assert [words[0]] == [context.name for context in parsed]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> checkouts.Clone:
    made = checkouts.fixture(tmp_path_factory.mktemp("hints"))
    made.inv("init", "--name=acme", text=checkouts.answers(made.repo))
    path = made.repo.root / "config/environments.yaml"
    nowhere = "      docker: unix:///nonexistent.sock\n      proxy: {port: 8083"
    path.write_text(path.read_text().replace("      proxy: {port: 8083", nowhere))
    return made


@pytest.mark.parametrize("words", RUNNABLE, ids=" ".join)
def test_a_command_of_a_message_runs(clone: checkouts.Clone, words: tuple[str, ...]) -> None:
    """It ends well, or with a fault that has a name and a fix: no bug, and nothing of Python."""
    done = clone.attempt(*words, text=secrets.token_hex(), environ={"EDITOR": "true"})
    said = done.stderr.decode()

    assert 70 != done.returncode, said
    assert "Traceback" not in said
    assert ("hint: " in said) == (done.returncode not in {0, 1, 3}), said


@pytest.mark.parametrize("session", [name for (name,) in named(NOX)])
def test_a_session_of_a_message_exists(session: str) -> None:
    """Nox has it."""
    tree = ast.parse((checkouts.ROOT / "noxfile.py").read_text())

    assert session in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("module", [name for (name,) in named(MODULE) if name != "ci.gates"])
def test_a_module_of_a_message_exists(module: str) -> None:
    """Python finds it."""
    assert importlib.util.find_spec(module)


def test_options_of_git_exist(tmp_path: Path) -> None:
    """Git lists each among those of its command."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    unknown = []
    for command, listed in named(GIT):
        if listed:
            shown = subprocess.run(["git", command, "-h"], cwd=tmp_path, capture_output=True, check=False)
            known = (shown.stdout + shown.stderr).decode().replace("[no-]", "")
            unknown += [f"git {command} {option}" for option in listed.split() if option not in known]

    assert [] == unknown
