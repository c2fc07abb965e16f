import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci.delivery import engines
from tests import checkouts
from tests.lockstep.delivery import fake

# Of this repository Lockstep's tests use the managed files and themselves; the rest belongs to the team.
OF_THE_TEAM = {
    str(checkouts.ROOT / name)
    for name in (".sops.yaml", "Dockerfile", "app", "config", "docs", "model", "sandbox", "secrets", "worker")
}
running: list[str] = []


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    """Fail a test of Lockstep that opens a file of the team's."""
    if event != "open" or not running or not isinstance(arguments[0], str):
        return
    path = os.path.normpath(arguments[0])  # a Path would cost more than what is watched
    for name in OF_THE_TEAM:
        if path == name or path.startswith(f"{name}/"):
            raise AssertionError(f"{running[0]} reads {path}, which belongs to the team")


sys.addaudithook(_refuse)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Watch what a test of this folder and its fixtures open; pytest calls this for other folders as well."""
    if item.path.is_relative_to(checkouts.ROOT / "tests/lockstep"):
        running.append(item.nodeid)
    try:
        return (yield)
    finally:
        running.clear()


@pytest.fixture(autouse=True)
def _own_identities(tmp_path: Path) -> Iterator[None]:
    with checkouts.at_home(tmp_path / "home"):
        yield


@pytest.fixture(autouse=True)
def _fake_engine() -> Iterator[None]:
    """Let environments run on the fake engine; outside of tests there is none."""
    with pytest.MonkeyPatch.context() as patch:  # of its own: a test's is undone before the test's other fixtures
        patch.setitem(engines.ENGINES, "fake", fake.KIND)
        yield
