import json
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

import runtime
from model import database, migrate
from model.notification import Base
from tests import services

pytestmark = pytest.mark.server


@pytest.fixture
def environ(postgres_url: str, redis_url: str) -> dict[str, str]:
    """An environment whose database is empty."""
    return services.environment(services.new_database(postgres_url), redis_url)


def test_from_nothing_and_again(environ: dict[str, str], tmp_path: Path) -> None:
    """The first run brings the database to the newest revision and says so, a second one changes nothing."""
    runs = [services.migrate(environ, tmp_path / "log") for _ in range(2)]

    assert [0, 0] == [code for code, _ in runs]
    assert [("migrated", database.head())] * 2 == [
        (last["event"], last["revision"]) for last in (json.loads(said.splitlines()[-1]) for _, said in runs)
    ]
    assert [(database.head(),)] == services.execute(environ, "SELECT version_num FROM alembic_version")


def test_two_at_once(environ: dict[str, str], tmp_path: Path) -> None:
    """Of two runs at the same time one waits for the other, and both succeed."""
    both = [
        services.start("api", "model.migrate", environ=environ, log=tmp_path / f"{number}") for number in range(2)
    ]

    assert [0, 0] == [one.wait(20) for one in both]


def test_a_run_waits_for_the_lock(environ: dict[str, str], tmp_path: Path) -> None:
    """While another release holds the lock nothing is migrated."""
    with psycopg.connect(environ["DATABASE_URL"], autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [migrate.LOCK])
        process = services.start("api", "model.migrate", environ=environ, log=tmp_path / "log")
        waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        services.until(lambda: other.execute(waiting).fetchall())
        before = other.execute("SELECT to_regclass('notifications')").fetchall()
        other.execute("SELECT pg_advisory_unlock(%s)", [migrate.LOCK])

    assert [(None,)] == before
    assert 0 == process.wait(20)


def test_a_later_revision_is_left_alone(environ: dict[str, str], tmp_path: Path) -> None:
    """A release that was rolled back finds a schema that it does not know, and goes on with it."""
    engine = database.engine(runtime.load("api", environ))
    migrate.upgrade(engine)
    engine.dispose()
    services.execute(environ, "UPDATE alembic_version SET version_num = '9999'")

    code, said = services.migrate(environ, tmp_path / "log")

    assert 0 == code, said
    assert [("9999",)] == services.execute(environ, "SELECT version_num FROM alembic_version")


def test_an_unreachable_database(environ: dict[str, str], tmp_path: Path) -> None:
    """The one line that is said names the cause, not the password, and the exit code is 1."""
    environ["DATABASE_URL"] = services.refused_url(environ["DATABASE_URL"])

    code, said = services.migrate(environ, tmp_path / "log")

    [line] = [json.loads(line) for line in said.splitlines()]
    assert (1, "error", "migration failed") == (code, line["level"], line["event"])
    assert "refused" in line["cause"]
    assert environ["DATABASE_URL"].split(":")[2].split("@")[0] not in said


def test_a_wrong_password(environ: dict[str, str], tmp_path: Path) -> None:
    """A password that Postgres refuses is named as the cause, and not told."""
    password = environ["DATABASE_URL"].split(":")[2].split("@")[0]
    environ["DATABASE_URL"] = environ["DATABASE_URL"].replace(password, password[::-1])

    code, said = services.migrate(environ, tmp_path / "log")

    [line] = [json.loads(line) for line in said.splitlines()]
    assert 1 == code
    assert "password authentication failed" in line["cause"]
    assert password[::-1] not in said


def test_a_migration_that_fails_leaves_nothing(environ: dict[str, str], tmp_path: Path) -> None:
    """A migration that cannot be done is undone whole: no table, no revision."""
    services.execute(environ, "CREATE TABLE notifications_listed (id int)")  # takes the name of an index

    code, said = services.migrate(environ, tmp_path / "log")

    assert 1 == code
    assert "already exists" in json.loads(said.splitlines()[-1])["cause"]
    assert [(None,)] == services.execute(environ, "SELECT to_regclass('notifications')")


def test_the_models_are_what_the_migrations_make(environ: dict[str, str]) -> None:
    """Alembic would generate no further migration."""
    engine = database.engine(runtime.load("api", environ))
    migrate.upgrade(engine)

    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    engine.dispose()

    assert [] == differences


def test_revision_problem(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """No schema and an older one are problems; the same one and a later one are none."""
    engine = database.engine(runtime.load("api", environ))
    without = database.revision_problem(engine)
    migrate.upgrade(engine)
    same = database.revision_problem(engine)
    head = database.head()
    with monkeypatch.context() as patch:
        patch.setattr(database, "revisions", lambda: ("next", head))
        older = database.revision_problem(engine)
    services.execute(environ, "UPDATE alembic_version SET version_num = '9999'")
    later = database.revision_problem(engine)
    engine.dispose()

    assert "no schema, run the migrations" == without
    assert f"at revision {head}, next is needed" == older
    assert (None, None) == (same, later)
