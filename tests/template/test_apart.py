"""Lockstep's tests run in the repository of any team: none of the example product's files is there."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ci.ground import generate, schema
from tests import checkouts

META = {"services": ["shop"], "description": "a colour", "example": "red"}
FOREIGN: dict[str, dict[str, Any]] = {
    "services": {"shop": {"command": "python -m shop"}},
    "keys": {"COLOUR": {"type": "string", "meta": META}},
}


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of Lockstep's files and its tests, whose keys are compiled from another schema."""
    folder = tmp_path_factory.mktemp("elsewhere")
    names = [*checkouts.managed(), *checkouts.tracked("tests/*.py", "tests/lockstep", "tests/fixtures")]
    apart = ("tests/app/", "tests/model/", "tests/sandbox/", "tests/stories/", "tests/template/", "tests/worker/")
    files = {name: checkouts.ROOT / name for name in (*names, "pyproject.toml") if not name.startswith(apart)}
    checkouts.copy(files, folder)
    (folder / "runtime/keys.py").write_text(generate.keys_module(schema.build(FOREIGN)))
    checkouts.tools(folder)
    checkouts.git(folder, "init", "-q")
    return folder


def run(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run pytest there."""
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    return subprocess.run(argv, cwd=folder, env=environ, capture_output=True, text=True, check=False)


def test_lockstep_is_imported_without_the_product(elsewhere: Path) -> None:
    """Every test of Lockstep is collected."""
    done = run(elsewhere, "--collect-only", "tests/lockstep")

    assert 0 == done.returncode, done.stdout


@pytest.mark.parametrize(
    "path",
    ["runtime/test_loader.py", "ground/test_schema.py", "rotation/test_providers.py", "sealing/test_unset.py"],
)
def test_lockstep_is_tested_without_the_product(elsewhere: Path, path: str) -> None:
    """Tests of the loader, the schema, providers and values pass with another schema at hand."""
    done = run(elsewhere, f"tests/lockstep/{path}")

    assert 0 == done.returncode, done.stdout
