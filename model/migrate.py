"""Bring the database to the newest revision: a release step, the job `migrate`."""

import sys

import structlog
from alembic import command
from alembic.util import CommandError
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

import runtime
from model import database, logs

LOCK = 0x10C_57EB  # any number, as long as every release takes the same


def main() -> int:
    """Run the migrations that are missing, alone, each whole or not at all; return an exit code."""
    settings = runtime.load("api")
    logs.configure(settings, "migrate")
    log = structlog.get_logger("model.migrate")
    try:
        revision = upgrade(database.engine(settings))
    except (SQLAlchemyError, CommandError) as error:
        cause = str(getattr(error, "orig", None) or error).splitlines()[0]
        log.error("migration failed", cause=cause)  # noqa: TRY400, a traceback would hide the cause
        return 1
    log.info("migrated", revision=revision)
    return 0


def upgrade(engine: Engine) -> str | None:
    """Return the revision that the database has in the end: the newest, or a later one that it had before."""
    alembic = database.alembic()
    with engine.connect() as connection:
        # A release that waits here for another's long migration is right to wait.
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
        try:
            current = database.revision_of(connection)
            connection.commit()  # else Alembic would take part in this transaction, and leave its end to us
            if not database.is_newer(current):
                alembic.attributes["connection"] = connection
                command.upgrade(alembic, "head")
            return database.revision_of(connection)
        finally:
            connection.invalidate()  # the lock and the setting end with it


if __name__ == "__main__":
    sys.exit(main())
