import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ci.gates import parity
from ci.ground.errors import GateError, LockstepError
from ci.ground.repo import Repo
from tests.lockstep.gates.parity.changes import (
    WORKFLOW,
    Change,
    both,
    code,
    file,
    no_services,
    remove,
    settings,
    swap,
    workflow,
)

FUZZED = hypothesis_settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def folder(place: str) -> Change:
    return both(remove(place), lambda repo: (repo.root / place).mkdir())


@pytest.mark.parametrize(
    "change",
    [
        no_services,
        code("def f(:\n"),
        code("\0"),
        settings("def f(:\n"),
        both(settings(""), remove("app/settings.py")),
        remove("config/schema.yaml"),
        file("config/schema.yaml", "services: {}\nkeys: {}\n"),
        swap("config/schema.yaml", r"type: integer", "type: intege"),
        remove("config/environments.yaml"),
        file("config/environments.yaml", "project: acme\nenvironments: {}\n"),
        folder("config/prod.env"),
        folder("secrets/prod.enc.env"),
        workflow("a: [\n"),
        workflow("a: \x01\n"),
        workflow("[" * 200_000),
        workflow("- " * 50_000),
        code(f"x = {'-' * 100_000}1\n"),
        code(f"x = {'(' * 100_000}\n"),
        code(f"x = a{'.b' * 100_000}\n"),
    ],
)
def test_what_cannot_be_looked_at_is_never_clean(repo: Repo, change: Change) -> None:
    """It is an error of its own."""
    change(repo)

    with pytest.raises(LockstepError):
        parity.check(repo)


@FUZZED
@given(data=st.binary(), place=st.sampled_from(["config/dev.env", "secrets/dev.enc.env", ".sops.yaml"]))
def test_any_bytes_are_findings(repo: Repo, place: str, data: bytes) -> None:
    """No content makes the gate fall over, and none is taken for a good file."""
    before = (repo.root / place).read_bytes()
    file(place, data)(repo)

    found = parity.check(repo)

    assert found
    file(place, before)(repo)


@FUZZED
@given(
    data=st.one_of(st.binary(), st.text().map(str.encode)),
    place=st.sampled_from([WORKFLOW, "app/more.py", "Dockerfile", "compose.yaml"]),
)
def test_any_bytes_are_judged_or_an_error(repo: Repo, place: str, data: bytes) -> None:
    """What cannot be read is named."""
    file(place, data)(repo)

    told = place
    try:
        parity.check(repo)
    except GateError as error:
        told = str(error)

    assert place in told
    (repo.root / place).unlink()
