"""Bring the database to the newest revision: a release step, `python -m config.entry api model.migrate`."""

import sys

import structlog
from alembic import command
from alembic.config import Config as AlembicConfig
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

import config
from model import database, logs

LOCK = 0x10C_57EB  # any number, as long as every release takes the same


def main() -> int:
    """Run the migrations that are missing, alone, each whole or not at all; return an exit code."""
    settings = config.load("api")
    logs.configure(settings, "migrate")
    log = structlog.get_logger("model.migrate")
    alembic = AlembicConfig()
    alembic.set_main_option("script_location", str(database.MIGRATIONS))
    try:
        with database.engine(settings).connect() as connection:
            # A release that waits here for another's long migration is right to wait.
            connection.execute(text("SET statement_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
            connection.commit()
            alembic.attributes["connection"] = connection
            command.upgrade(alembic, "head")
    except SQLAlchemyError as error:
        cause = str(getattr(error, "orig", None) or type(error).__name__).splitlines()[0]
        log.error("migration failed", cause=cause)  # noqa: TRY400, a traceback would hide the cause
        return 1
    log.info("migrated", revision=database.head())
    return 0


if __name__ == "__main__":
    sys.exit(main())
