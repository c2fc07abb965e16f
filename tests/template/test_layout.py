"""The example product: which way its imports point, and that every test says what it is about."""

import ast

import pytest

from tests.lockstep.sources import ROOT, STARTS_PROGRAMS, files, imports, matching, parse

OURS = ("app", "ci", "model", "runtime", "sandbox", "tasks", "worker")
READS = {"worker/sms/rotation/__main__.py": "a variable of the shell of whoever rotates, not a key of the worker"}
ALLOWED = {
    "app": {"app", "model", "runtime"},
    "worker": {"worker", "model", "runtime"},
    "model": {"model", "runtime"},
    "sandbox": {"runtime", "sandbox"},
}


@pytest.mark.parametrize("folder", list(ALLOWED))
def test_services_import_only_what_they_may(folder: str) -> None:
    """The product knows nothing of ci and tasks, nor a service of another beyond the shared model."""
    found = {name.split(".")[0] for path in files(folder) for name in imports(parse(path))} & set(OURS)

    assert files(folder)
    assert found <= ALLOWED[folder]


@pytest.mark.parametrize("folder", ["app", "worker", "model"])
def test_services_read_the_environment_through_config_alone(folder: str) -> None:
    """No os.environ, getenv or dotenv outside the loader."""
    forbidden = ("os.environ", "getenv", "dotenv")
    found = [
        str(path.relative_to(ROOT)) for path in files(folder) for word in forbidden if word in path.read_text()
    ]

    assert [] == [name for name in found if name not in READS]


@pytest.mark.parametrize("folder", list(ALLOWED))
def test_the_product_starts_no_program(folder: str) -> None:
    """No folder of it starts a program, in whatever way."""
    assert [] == [path.name for path in files(folder) if matching(STARTS_PROGRAMS, parse(path))]


def test_every_test_says_what_it_is_about() -> None:
    """Each test function has a docstring of one sentence."""
    silent = [
        f"{path.name}:{node.name}"
        for path in files("tests")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]

    assert [] == silent
