"""One-off commands in the engine: whose keys they get, and what is run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ci.delivery import oneoff
from ci.delivery.engines import Sealed
from ci.delivery.oneoff import Reader
from ci.delivery.release import Release
from ci.ground import errors
from tests.lockstep.delivery import fake
from tests.lockstep.delivery.projects import Project, make


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose dev runs on the fake engine."""
    made = make(tmp_path / "repo")
    made.deploy()
    return made


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Sequence[str], set[str]]]:
    """What the engine is asked to run: whose keys, which words, and which sealed keys it is given."""
    calls: list[tuple[str, Sequence[str], set[str]]] = []

    def run(_: Any, _release: Release, reader: str, argv: Sequence[str], sealed: Sealed) -> tuple[int, list[str]]:
        calls.append((reader, argv, set(sealed)))
        return 3, ["a line"]

    monkeypatch.setattr(fake.Fake, "run", run)
    return calls


def test_a_command(project: Project, ran: list[Any]) -> None:
    """Its words reach the engine as they are, with its exit code and lines back; the engine holds the values."""
    words = ["printf", "%s", "a  b", "", "*"]

    assert (3, ["a line"]) == oneoff.run(project.repo, "dev", Reader(service="worker"), words)
    assert [("worker", words, set())] == ran


def test_the_command_of_a_job(project: Project) -> None:
    """Without words a job runs its own."""
    assert (0, ["migrate python -m model.migrate"]) == oneoff.run(project.repo, "dev", Reader(job="migrate"), [])


def test_an_engine_without_bundles(project: Project, ran: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given the values, which are opened for it."""
    monkeypatch.setattr(fake.Fake, "versioned", False)

    oneoff.run(project.repo, "dev", Reader(job="migrate"), [])

    assert [("migrate", [], {key.name for key in project.repo.schema.secrets()})] == ran


@pytest.mark.parametrize(
    ("reader", "message"),
    [
        (Reader(service="sandbox"), "dev has no service sandbox"),
        (Reader(service="migrate"), "dev has no service migrate"),
        (Reader(job="verify"), "dev has no job verify"),
        (Reader(job="sms-keys"), "dev has no job sms-keys"),
    ],
)
def test_what_the_release_does_not_have(project: Project, reader: Reader, message: str) -> None:
    """What exists is named; a provider's job is not of a release."""
    with pytest.raises(errors.UsageError, match=message) as caught:
        oneoff.run(project.repo, "dev", reader, ["true"])

    assert ("migrate" if reader.job else "api, worker") in caught.value.hint
