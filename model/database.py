"""Postgres: the engine, and whether the database's schema is the one that this code was written for."""

from pathlib import Path

from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, make_url

from config import Config

MIGRATIONS = Path(__file__).with_name("migrations")


def engine(config: Config) -> Engine:
    """Return the engine of DATABASE_URL; it connects when it is first used.

    Waiting for a connection, for the pool and for an answer are bounded by DATABASE_TIMEOUT_SECONDS each.
    """
    seconds = config.database_timeout_seconds
    return create_engine(
        make_url(config.database_url.reveal()).set(drivername="postgresql+psycopg"),
        pool_size=config.database_pool_size,
        max_overflow=0,
        pool_timeout=seconds,
        pool_pre_ping=True,
        hide_parameters=True,  # an error's text would hold the message otherwise
        connect_args={
            "connect_timeout": max(1, round(seconds)),
            "options": f"-c statement_timeout={round(seconds * 1000)} -c timezone=UTC",
            "application_name": "lockstep",
        },
    )


def revisions() -> ScriptDirectory:
    """Return the migrations that this code knows."""
    settings = AlembicConfig()
    settings.set_main_option("script_location", str(MIGRATIONS))
    return ScriptDirectory.from_config(settings)


def head() -> str:
    """Return the revision that this code was written for."""
    found = revisions().get_current_head()
    assert found  # noqa: S101, for mypy: there is at least one migration
    return found


def revision_problem(database: Engine, wanted: str) -> str | None:
    """Say why the database's revision will not do; None when it will.

    A revision that this code does not know is a later one: migrations only expand until the code that needs the
    old shape is gone, so this code goes on while the next release takes over.
    """
    with database.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    if current is None:
        return "no schema, run the migrations"
    behind = {one.revision for one in revisions().walk_revisions()} - {wanted}
    return f"at revision {current}, {wanted} is needed" if current in behind else None
