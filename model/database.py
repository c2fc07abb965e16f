"""Postgres: the engine, and whether the database's schema is the one that this code was written for."""

import functools
import select
from pathlib import Path

from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg import Connection as PostgresConnection
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from runtime import Config

OUTAGES = (OperationalError, InterfaceError, PoolTimeoutError)  # what is raised while Postgres is away
MIGRATIONS = Path(__file__).with_name("migrations")


def engine(config: Config) -> Engine:
    """Return the engine of DATABASE_URL; it connects when it is first used.

    Waiting for a connection, for the pool and for an answer are bounded by DATABASE_TIMEOUT_SECONDS each; a server
    that vanished without a word is given up after about as long.
    """
    seconds = config.database_timeout_seconds
    made = create_engine(
        make_url(config.database_url.reveal()).set(drivername="postgresql+psycopg"),
        pool_size=config.database_pool_size,
        max_overflow=0,
        pool_timeout=seconds,
        skip_autocommit_rollback=True,  # for `at_once`: there is nothing to roll back
        hide_parameters=True,  # an error's text would hold the message otherwise
        connect_args={
            "connect_timeout": max(2, round(seconds)),  # libpq takes 1 for 2
            "keepalives_idle": max(1, round(seconds)),
            "keepalives_interval": 1,
            "keepalives_count": 3,
            "tcp_user_timeout": round(seconds * 1000),
            "options": f"-c statement_timeout={round(seconds * 1000)} -c timezone=UTC",
            "application_name": "lockstep",
        },
    )
    event.listen(made, "checkout", _require_quiet)
    return made


def at_once(engine: Engine) -> Engine:
    """Return the same engine and pool, but each statement is a transaction of its own.

    It is as durable, and one round trip instead of the three with BEGIN and COMMIT.
    """
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def _require_quiet(connection: PostgresConnection, *_: object) -> None:
    """Have the pool begin anew when its server is gone: it has said so, or the kernel's keepalives have found out.

    What the pool's own `pool_pre_ping` learns by a round trip to Postgres for each use of a connection, its socket
    knows already: nothing comes over one that rests, but for the end.
    """
    if not connection.closed:
        waiting = select.poll()  # not select.select, which knows no descriptor above 1023
        waiting.register(connection.fileno(), select.POLLIN)
        if not waiting.poll(0):
            return
    raise InvalidatePoolError


def alembic() -> AlembicConfig:
    """Return Alembic's settings, made of no file: the URL stands in none."""
    settings = AlembicConfig()
    settings.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return settings


@functools.cache
def revisions() -> tuple[str, ...]:
    """Return the revisions that this code knows, the newest first."""
    return tuple(one.revision for one in ScriptDirectory.from_config(alembic()).walk_revisions())


def head() -> str:
    """Return the revision that this code was written for."""
    return revisions()[0]


def is_newer(revision: str | None) -> bool:
    """Whether a database's revision is a later one than this code knows.

    Migrations only expand until the code that needs the old shape is gone, so this code goes on with it: while the
    next release takes over, and after a rollback from it.
    """
    return revision is not None and revision not in revisions()


def revision_of(connection: Connection) -> str | None:
    """Return the revision of a database; None when it has no schema."""
    return MigrationContext.configure(connection).get_current_revision()


def revision_problem(database: Engine) -> str | None:
    """Say why the database's revision will not do; None when it will."""
    with database.connect() as connection:
        current = revision_of(connection)
    if current is None:
        return "no schema, run the migrations"
    return None if current == head() or is_newer(current) else f"at revision {current}, {head()} is needed"
