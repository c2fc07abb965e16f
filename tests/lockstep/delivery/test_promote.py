"""Promotion: an environment takes the very image that runs healthily in the one before."""

import pytest

from ci.ground import errors
from tests.lockstep.delivery import fake
from tests.lockstep.delivery.projects import Project


def test_one_image_goes_the_whole_way(project: Project) -> None:
    """dev, staging and prod run one image by its id, whatever HEAD is by then."""
    project.deploy("dev")
    image = project.current("dev").image
    project.commit("HEAD goes on")

    project.promote("staging")
    project.promote("prod")

    assert [image] * 3 == [project.current(name).image for name in ("dev", "staging", "prod")]


def test_what_was_meant_goes_on_or_nothing(project: Project) -> None:
    """A commit that was approved late is refused when another runs in the environment before by then."""
    approved = project.deploy("dev").release.sha
    newer = project.commit()
    project.deploy("dev")

    with pytest.raises(errors.RefusedError, match=f"dev runs {newer} by now, not {approved}"):
        project.promote("staging", sha=approved)
    assert [] == project.history("staging")
    project.promote("staging", sha=newer)
    assert newer == project.current("staging").sha


def test_a_working_tree_is_not_promoted(project: Project) -> None:
    """An environment cannot follow one that runs no image."""
    project.about("staging", follows="local")

    with pytest.raises(errors.UsageError, match="local, which staging follows, runs the working tree"):
        project.promote("staging")


def test_another_image_is_refused(project: Project) -> None:
    """An image that does not run in the environment before is refused, and nothing is changed."""
    project.deploy("dev")
    other = project.commit()

    with pytest.raises(errors.RefusedError, match=f"not {other}"):
        project.deploy("staging", sha=other)

    assert [] == project.history("staging")


def test_force_needs_a_reason_and_keeps_it(project: Project) -> None:
    """A forced image goes through, and the record says why."""
    other = project.commit()

    project.deploy("staging", sha=other, force="prod is down")

    assert "prod is down" == project.current("staging").why


def test_one_that_soaks_is_refused(project: Project) -> None:
    """Before its soak time is over the image stays where it is."""
    project.about("staging", soak_minutes=5)
    project.deploy("dev")

    with pytest.raises(errors.RefusedError, match="for 0 of 5 minutes"):
        project.promote("staging")


def test_a_sick_release_is_refused(project: Project) -> None:
    """What is not healthy in the environment before is not promoted."""
    project.deploy("dev")
    fake.change(project.repo, "dev", running=[["api", 1], ["worker-sick", 1]])

    with pytest.raises(errors.RefusedError, match="is not healthy"):
        project.promote("staging")


def test_nothing_to_promote(project: Project) -> None:
    """When nothing runs in the environment before, that is what is said."""
    with pytest.raises(errors.RefusedError, match="nothing runs in dev"):
        project.promote("staging")


def test_an_environment_that_follows_none(project: Project) -> None:
    """The first environment is deployed, not promoted to."""
    with pytest.raises(errors.UsageError, match="dev follows no environment"):
        project.promote("dev")


def test_new_values_need_no_new_image(project: Project) -> None:
    """A deploy of an environment that follows another takes new values to the image that it has."""
    project.deploy("dev")
    project.promote("staging")
    image = project.current("staging").image
    project.plain("staging", "LOG_LEVEL=info", "LOG_LEVEL=debug")

    project.deploy("staging")

    assert (2, image) == (project.current("staging").number, project.current("staging").image)
    assert "debug" == project.current("staging").plain["LOG_LEVEL"]
