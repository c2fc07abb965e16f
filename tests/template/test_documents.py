"""What this repository says of itself holds: generated files are fresh, its gates find nothing, versions agree."""

import re
from pathlib import Path

import pytest

from ci.delivery.engines.swarm import specs
from ci.gates import leaks, parity, rules, sealing
from ci.gates.parity import libraries
from ci.ground import generate
from ci.ground.repo import Repo
from model.notification import Channel

ROOT = Path(__file__).parents[2]
REPO = Repo(ROOT)


@pytest.mark.parametrize("name", list(generate.FILES))
def test_what_is_generated_is_fresh(name: str) -> None:
    """`python -m ci.ground.generate` would change nothing."""
    assert generate.FILES[name](REPO.schema) == (ROOT / name).read_text()


def test_the_table_of_rules_is_fresh() -> None:
    """`python -m ci.gates.rules` would change nothing."""
    assert rules.table() == (ROOT / rules.PLACE).read_text()


@pytest.mark.parametrize(
    ("start", "listed"), [("A process is given", libraries.GIVEN), ("Libraries read", libraries.LIBRARIES)]
)
def test_the_variables_that_are_no_keys_are_documented(start: str, listed: list[str]) -> None:
    """docs/settings.md has the gate's own lists."""
    (paragraph,) = re.findall(
        rf"^{start}.*?(?=\.\n)", (ROOT / "docs/settings.md").read_text(), re.DOTALL | re.MULTILINE
    )

    assert listed == re.findall(r"`([^`]+)`", paragraph)


def test_the_gates_find_nothing() -> None:
    """What they ask of others holds here, in the working tree, these tests included."""
    found = [parity.check(REPO), sealing.check(REPO), leaks.check_folder(REPO)]

    assert [[], [], []] == found


def test_the_environments_follow_each_other() -> None:
    """Each environment has an engine and replicas, and the protected one follows another."""
    by_name = REPO.environments.by_name

    assert ["local", "dev", "staging", "prod"] == list(by_name)
    assert ["prod"] == [one.name for one in by_name.values() if one.protected]
    assert {"staging": "dev", "prod": "staging"} == {
        one.name: one.follows for one in by_name.values() if one.follows
    }


def test_the_image_and_the_lock_are_of_one_python() -> None:
    """The version in the Dockerfile is the one that the lock files are resolved for."""
    base = re.search(r"^ARG BASE=python:(\S+?)-", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    lock = re.search(r"--python-version (\S+)", (ROOT / "noxfile.py").read_text())

    assert base
    assert lock
    assert lock[1] == base[1]


def test_git_is_told_how_to_merge_sealed_files() -> None:
    """The driver is named for all of them, without a path of this machine."""
    attributes = (ROOT / ".gitattributes").read_text()

    assert "secrets/*.enc.env merge=lockstep\n" in attributes
    assert str(ROOT) not in attributes


def test_a_worker_has_room_for_its_threads() -> None:
    """The most that WORKER_CONCURRENCY may be, for each channel, is half of what the swarm allows."""
    most = REPO.schema.keys["WORKER_CONCURRENCY"].rules["max"]

    assert 2 * len(Channel) * most <= specs.PIDS
