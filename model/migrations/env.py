"""Alembic's way in: model/migrate.py hands over its connection, which holds the lock."""

from alembic import context

from model.notification import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
