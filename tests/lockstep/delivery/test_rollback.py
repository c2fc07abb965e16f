"""Rollback: image and config of an old release, without the repository's values or an identity."""

import pytest

from ci.ground import errors
from ci.ground.errors import RefusedError
from tests.lockstep.delivery.projects import Project


def test_image_and_config_come_back_together(project: Project) -> None:
    """The release before is restored as a whole, with no identity at hand and a tree that is not committed."""
    project.deploy()
    first = project.current()
    project.plain("dev", "LOG_LEVEL=info", "LOG_LEVEL=debug")
    project.deploy()
    for identity in (project.root.parent / "home").rglob("*.agekey"):
        identity.unlink()
    (project.root / "config/dev.env").unlink()

    project.rollback()

    now = project.current()
    assert (3, "rollback to release 1") == (now.number, now.why)
    assert (first.image, first.config, first.plain) == (now.image, now.config, now.plain)
    assert [one.bundle for one in first.services.values()] == [one.bundle for one in now.services.values()]
    assert {3} == project.runs()


def test_to_a_release_by_its_number(project: Project) -> None:
    """--to names any release that was healthy and is kept."""
    for level in ("debug", "warning", "error"):
        project.deploy()
        project.plain("dev", project.current().plain["LOG_LEVEL"], level)

    project.rollback(to=1)

    assert "info" == project.current().plain["LOG_LEVEL"]


@pytest.mark.parametrize("to", [7, 2])
def test_what_was_never_healthy_is_no_target(project: Project, to: int) -> None:
    """A release that is not there, or failed, is refused, and the ones that can be had are named."""
    project.deploy()
    project.commit()
    project.fail("wait")
    with pytest.raises(errors.StartError):
        project.deploy()
    project.fail("")

    with pytest.raises(RefusedError, match=f"release {to} is not one") as caught:
        project.rollback(to=to)

    assert "these are: 1" == caught.value.hint


def test_nothing_before(project: Project) -> None:
    """A first release has nothing to go back to."""
    project.deploy()

    with pytest.raises(RefusedError, match="no release to go back to"):
        project.rollback()


def test_to_before_a_rotation(project: Project) -> None:
    """It is refused when a later release replaced a secret of it; that one itself can be had, and what follows."""
    project.deploy()
    project.plain("dev", "LOG_LEVEL=info", "LOG_LEVEL=debug")
    project.deploy(rotates="SMTP_PASSWORD")
    project.plain("dev", "LOG_LEVEL=debug", "LOG_LEVEL=error")
    project.deploy()

    with pytest.raises(RefusedError, match="release 1 has a value of SMTP_PASSWORD that release 2 replaced"):
        project.rollback(to=1)
    project.rollback()
    project.rollback(to=3)

    assert "rotation of SMTP_PASSWORD" == project.history()[1].why
    assert {5} == project.runs()


def test_over_a_migration_that_expands(project: Project) -> None:
    """The code of before lives with a database that only got more."""
    project.deploy()
    project.migration("0002", "0001")
    project.deploy()

    project.rollback()

    assert ("0001", ["0002", "0001"]) == (project.current().revision, list(project.current().lives_with))


def test_over_a_migration_that_takes_away(project: Project) -> None:
    """A rollback to code that the database has no place for any more is refused before it starts."""
    project.deploy()
    project.migration("0002", "0001")
    project.deploy()
    project.migration("0003", "0002", oldest="0002")
    project.deploy()
    project.rollback(to=2)

    with pytest.raises(RefusedError, match="revision 0001 of the database, which is at 0003"):
        project.rollback(to=1)

    assert {4} == project.runs()
