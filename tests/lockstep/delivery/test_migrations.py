"""What a deploy may do to a database that other code still lives with."""

from dataclasses import replace

import pytest

from ci.delivery import migrations
from ci.ground import errors, git
from ci.ground.errors import RefusedError
from tests.lockstep.delivery.projects import Project


def test_the_running_code_must_live_with_it(project: Project) -> None:
    """A migration that drops what the running release needs is refused before anything starts."""
    project.deploy()
    project.migration("0002", "0001", oldest="0002")

    with pytest.raises(RefusedError, match="release 1 runs code of revision 0001") as caught:
        project.deploy()

    assert caught.value.hint.startswith("deploy a commit that is at 0002 first")
    assert [1] == [one.number for one in project.history()]


def test_it_is_dropped_one_deploy_later(project: Project) -> None:
    """Expand, deploy, contract: the second migration may drop what no running code needs any more."""
    project.deploy()
    project.migration("0002", "0001")
    project.deploy()
    project.migration("0003", "0002", oldest="0002")

    project.deploy()

    assert ["0003", "0002"] == list(project.current().lives_with)


def test_a_reason_has_it_go_ahead(project: Project) -> None:
    """Who accepts that the old code fails meanwhile says why, and the release keeps it."""
    project.deploy()
    project.migration("0002", "0001", oldest="0002")

    project.deploy(force="nobody uses it at night")

    assert (["0002"], "nobody uses it at night") == (list(project.current().lives_with), project.current().why)


def test_an_older_image_over_a_newer_database(project: Project) -> None:
    """An older commit lives with a database that only got more, which stays as it is."""
    old = project.commit()
    project.migration("0002", "0001")
    project.deploy()

    project.deploy(sha=old)

    assert ("0001", ["0002", "0001"]) == (project.current().revision, list(project.current().lives_with))


def test_an_older_image_that_does_not_fit(project: Project) -> None:
    """An older commit is refused when the database has dropped what it needs."""
    old = project.commit()
    project.migration("0002", "0001", oldest="0002")
    project.deploy()

    with pytest.raises(RefusedError, match=f"{old} was written for revision 0001 of the database"):
        project.deploy(sha=old)


def test_a_migration_that_failed_may_be_taken_out(project: Project) -> None:
    """After a failed migration the database is as it was: another one may take its place."""
    project.deploy()
    bad = project.migration("0002", "0001")
    project.fail("migrate")
    with pytest.raises(errors.MigrationError):
        project.deploy()
    project.fail("")
    (project.root / "model/migrations/versions/0002.py").unlink()
    project.migration("000b", "0001")

    project.deploy()

    assert bad == project.history()[1].sha
    assert ["0001"] == list(project.history()[1].lives_with)
    assert ["000b", "0001"] == list(project.current().lives_with)


def test_a_failed_deploy_may_have_migrated(project: Project) -> None:
    """A deploy that failed after its migration counts: the database does not go back."""
    project.deploy()
    project.migration("0002", "0001", oldest="0002")
    project.fail("wait")
    with pytest.raises(errors.StartError):
        project.deploy(force="on purpose")
    project.fail("")

    with pytest.raises(RefusedError, match="which is at 0002 and has dropped"):
        project.rollback(to=1)


def test_one_that_was_not_reached_does_not_count(project: Project) -> None:
    """A deploy that failed before its migration leaves the database, and what can live with it, as it was."""
    project.deploy()
    project.migration("0002", "0001")
    project.fail("prepare")
    with pytest.raises(errors.StartError):
        project.deploy()

    assert ["0001"] == list(project.history()[1].lives_with)


def test_migrations_are_read_without_being_run() -> None:
    """Revision, what it follows and the oldest code that can live with it are read from the file's text."""
    chain = migrations.order(
        [
            migrations.parse('raise SystemExit\nrevision = "b"\ndown_revision = "a"\noldest = "b"\n'),
            migrations.parse('revision = "a"\ndown_revision = None\n'),
            migrations.parse('revision = "c"\ndown_revision = "b"\n'),
        ]
    )

    assert ["c", "b", "a"] == [one.revision for one in chain]
    assert ["c", "b"] == migrations.lives_with(chain)


@pytest.mark.parametrize(
    "source",
    [
        'revision = "b"\ndown_revision = "a"\n',
        'revision: str = "b"\ndown_revision: str | None = "a"\n',
        'import typing\nrevision: str = "b"\ndown_revision: typing.Union[str, None] = "a"\nbranch_labels = None\n',
    ],
)
def test_a_revision_with_and_without_a_type(source: str) -> None:
    """Alembic's template has written types since 1.13; a revision is read all the same."""
    assert ("b", ("a",)) == (migrations.parse(source).revision, migrations.parse(source).before)


@pytest.mark.parametrize(
    "source", ["", 'revision = name("b")\ndown_revision = "a"\n', 'revision = "b"\n', "revision: str\n"]
)
def test_a_migration_that_cannot_be_read_is_refused(project: Project, source: str) -> None:
    """Without its revision the check of code against database would be off; the deploy is refused at once."""
    project.deploy()
    project.write("model/migrations/versions/0002.py", source)

    with pytest.raises(RefusedError, match=r"0002\.py does not say its revision") as caught:
        project.deploy(sha=git.sha(project.root))

    assert "down_revision" in caught.value.hint
    assert 1 == project.current().number


def test_a_merge_follows_several() -> None:
    """As Alembic writes it; each migration comes before all that it follows."""
    chain = migrations.order(
        [
            migrations.parse('revision = "m1"\ndown_revision: str | None = "a"\n'),
            migrations.parse('revision = "d"\ndown_revision = "c"\n'),
            migrations.parse('revision = "c"\ndown_revision = ("m1", "m2")\n'),
            migrations.parse('revision = "m2"\ndown_revision = "a"\n'),
            migrations.parse('revision = "a"\ndown_revision = None\n'),
        ]
    )

    assert ["d", "c", "m1", "m2", "a"] == [one.revision for one in chain]


def test_a_working_tree_is_read_as_it_is(project: Project) -> None:
    """An environment that runs the tree has its migrations, those that are not committed included."""
    release = project.deploy().release
    (project.root / "model/migrations/versions/0002.py").write_text('revision = "0002"\ndown_revision = "0001"\n')

    dirty = replace(release, sha=git.sha(project.root))

    assert ["0002", "0001"] == [one.revision for one in migrations.of(project.repo, dirty)]
