"""A team that puts its own product in the place of the example finds nothing of Lockstep's in any gate."""

import shutil
import subprocess
import sys

import pytest
import yaml

from ci.gates.leaks import look, own
from ci.ground import generate
from ci.ground.repo import Repo
from ci.sealing import init
from tests import checkouts

EXAMPLE = ("Dockerfile", "app", "model", "sandbox", "worker")
ITS_TESTS = ("app", "model", "sandbox", "stories", "worker")
SCHEMA = """\
services:
  shop: {command: python -m shop, description: sells}
keys:
  COLOUR:
    type: string
    meta: {services: [shop], description: a colour, example: red}
"""
SECRET = """\
  SHOP_PASSWORD:
    type: string
    meta: {services: [shop], description: what suppliers ask for, example: PASSWORD, secret: true}
"""
CODE = 'import runtime\n\nCONFIG = runtime.load("shop")\nprint(CONFIG.colour)\n'
USE = "print(len(CONFIG.shop_password.reveal()))\n"


@pytest.fixture(scope="module", params=[False, True], ids=["no secret", "a secret"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Repo:
    """Clone this repository, put another product in the place of the example, and commit what `inv init` makes."""
    folder, schema, code = tmp_path_factory.mktemp("another"), SCHEMA, CODE
    if request.param:
        schema, code = SCHEMA + SECRET, CODE + USE
    root = folder / "shop"
    checkouts.git(folder, "clone", "-q", "--single-branch", f"file://{checkouts.ROOT}", str(root))
    checkouts.copy({name: checkouts.ROOT / name for name in checkouts.tracked()}, root)
    for name in (*EXAMPLE, *(f"tests/{name}" for name in ITS_TESTS)):
        shutil.rmtree(root / name) if (root / name).is_dir() else (root / name).unlink()
    for place, text in (("config/schema.yaml", schema), ("shop/__init__.py", ""), ("shop/__main__.py", code)):
        (root / place).parent.mkdir(exist_ok=True)
        (root / place).write_text(text)
    environments = yaml.safe_load((root / "config/environments.yaml").read_text())
    for name, environment in environments["environments"].items():
        environment["replicas"] = {"shop": 1}
        environment.pop("processes", None)  # the ports of services that are gone
        (root / f"config/{name}.env").write_text("COLOUR=red\n")
    (root / "config/environments.yaml").write_text(yaml.safe_dump(environments, sort_keys=False))
    checkouts.tools(root)
    generate.write(Repo(root))
    with checkouts.at_home(folder / "home"):
        init.init(Repo(root), "shop", lambda _name, _key: "")
    checkouts.git(root, "add", "-A")
    checkouts.git(root, "commit", "-qm", "our own product")
    return Repo(root)


@pytest.mark.parametrize("gate", ["parity", "sealing", "leaks", "rotation"])
def test_no_gate_finds_anything(shop: Repo, gate: str) -> None:
    """Neither in the files that Lockstep brings nor in their whole history."""
    argv = [sys.executable, "-m", f"ci.gates.{gate}"]
    done = subprocess.run(argv, cwd=shop.root, capture_output=True, text=True, check=False)

    assert 0 == done.returncode, done.stdout + done.stderr
    assert f"{gate}: 0 findings" in done.stdout


def test_no_schema_makes_findings_of_the_files_that_lockstep_brings() -> None:
    """A line that some schema would make one is listed; `python -m ci.gates.leaks.own` lists it."""
    found = own.lines(Repo(checkouts.ROOT), history=False)

    assert found
    assert [] == [place for digest, place in found.items() if digest not in look.OWN]


def test_the_gates_name_nothing_of_the_example() -> None:
    """Their rules and examples are for any product."""
    files = [checkouts.ROOT / name for name in checkouts.tracked("ci/gates")]
    words = ("sms", "smtp", "twilio", "notification")

    assert [] == [f"{path.name}: {word}" for path in files for word in words if word in path.read_text().lower()]
