"""Releases and their repository for the tests that look at nothing else."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ci.delivery.release import Job, Release, Service
from ci.ground import services
from ci.ground.repo import Repo
from tests import checkouts

WEB = services.Service(("python", "-m", "web"), port=8000, public=services.Public("web.example"))
SHELL = services.Service(("node", "server.js"), image="node", kept={"data": "/data"})
TOOL = services.Job(("python", "-m", "tool"), ("web",), inherits=("USER",))
ENVIRONMENTS = """\
project: acme
environments:
  local: {engine: processes, in_git: false}
  dev: {engine: processes, replicas: {shell: 3}}
  prod: {engine: processes, protected: true}
"""


def repository(folder: Path) -> Repo:
    """Return a git repository whose environments are `local`, `dev` and `prod`."""
    (folder / "config").mkdir(parents=True)
    (folder / "config/environments.yaml").write_text(ENVIRONMENTS)
    checkouts.git(folder, "init", "-q", "-b", "main")
    checkouts.named(folder)
    commit(folder, "the first")
    return Repo(folder)


def commit(folder: Path, about: str) -> None:
    """Commit what there is."""
    checkouts.git(folder, "add", "-A")
    checkouts.git(folder, "commit", "-qm", about, "--allow-empty")


def service(declared: services.Service, replicas: int = 1, keys: Sequence[str] = (), bundle: str = "") -> Service:
    """Return a service of a release."""
    return Service(declared, replicas, list(keys), bundle)


def release(**changed: Any) -> Release:
    """Return a healthy release of two services and a job, each with keys and a bundle, but for what is changed."""
    whole = Release(
        environment="dev",
        number=3,
        sha="abc",
        plain={"LEVEL": "info", "SIZE": "1"},
        sealed=["PASSWORD", "TOKEN"],
        who="Anna",
        when="2026-01-01T00:00:00+00:00",
        images={"main": "sha256:1", "node": "sha256:2"},
        config="abc",
        services={
            "web": service(WEB, 2, ["LEVEL", "PASSWORD"], "bundle.web"),
            "shell": service(SHELL, 1, ["SIZE", "TOKEN", "PASSWORD"], "bundle.shell"),
        },
        jobs={"tool": Job(TOOL, ["LEVEL", "TOKEN"], "bundle.tool")},
        revision="0001",
        lives_with=["0001"],
        why="because",
        rotates="TOKEN",
        result="healthy",
        ended="later",
    )
    return replace(whole, **changed)
