"""What environments.yaml says of engines, and what is refused before anything is asked of one."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci.delivery import engines
from ci.ground import errors
from ci.ground.repo import Repo
from tests import checkouts

SWARM = {"engine": "swarm", "replicas": {"api": 1}}


def changed(folder: Path, about: dict[str, Any]) -> Repo:
    """Return a checkout whose staging is run as this says."""
    root = checkouts.initialised(folder / "repo").root
    path = root / "config/environments.yaml"
    document = yaml.safe_load(path.read_bytes())
    document["environments"]["staging"] = about
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return Repo(root)


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        ({"engine": "swarn"}, ["staging.engine: unknown engine swarn, use one of processes, swarm, fake"]),
        ({"engine": "local"}, ["staging.engine: unknown engine local, use one of processes, swarm, fake"]),
        (SWARM | {"replicas": {"apu": 1}}, ["staging.replicas.apu: there is no service apu"]),
        (SWARM | {"swarm": {"prox": {}}}, ["staging.swarm.prox: unknown field"]),
        (SWARM | {"swarm": {"proxy": {"port": 80}}}, ["staging.swarm.proxy.image: required field"]),
        (SWARM | {"swarm": {"placement": {"apu": []}}}, ["staging.swarm.placement.apu: there is no service apu"]),
        (SWARM | {"swarm": {"resources": {"apu": {}}}}, ["staging.swarm.resources.apu: there is no service apu"]),
        (
            SWARM | {"swarm": {"resources": {"api": {"cpus": float("nan")}}}},
            ["staging.swarm.resources.api.cpus: must be a finite number"],
        ),
        ({"engine": "processes", "processes": {"port": 1}}, ["staging.processes.port: unknown field"]),
        (
            {"engine": "swarm", "replicas": {"apu": 1}, "swarm": {"prox": {}}},
            ["staging.swarm.prox: unknown field", "staging.replicas.apu: there is no service apu"],
        ),
    ],
)
def test_what_no_engine_knows_is_refused(tmp_path: Path, about: dict[str, Any], expected: list[str]) -> None:
    """A slip in an engine, a service or a setting is named by its place, all at once."""
    repo = changed(tmp_path, about)

    with pytest.raises(errors.ConfigurationError, match="the environments are wrong") as caught:
        engines.open(repo, "dev")

    assert expected == list(caught.value.detail)


@pytest.mark.parametrize("about", [SWARM, {"engine": "processes", "in_git": False}, {"engine": "processes"}])
def test_what_an_engine_knows_is_taken(tmp_path: Path, about: dict[str, Any]) -> None:
    """An engine is made for an environment without asking anything of what runs it."""
    with engines.open(changed(tmp_path, about), "staging") as engine:
        assert (about["engine"] == "swarm") is engine.versioned


def test_the_parity_gate_refuses_a_misspelt_engine(tmp_path: Path) -> None:
    """A pull request with one does not pass: the gate cannot look, and says why."""
    repo = changed(tmp_path, {"engine": "swarn", "replicas": {}})

    done = subprocess.run(
        [sys.executable, "-m", "ci.gates.parity", repo.root],
        cwd=checkouts.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert 2 == done.returncode
    assert "staging.engine: unknown engine swarn, use one of processes, swarm" in done.stderr
