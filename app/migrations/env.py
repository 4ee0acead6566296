"""Runs the migrations against the database the application itself would use."""

from alembic import context

from guestbook import configure_logging
from guestbook.database import Base, make_engine
from guestbook.settings import database_url

configure_logging()
engine = make_engine(context.config.attributes.get("database_url") or database_url())

with engine.connect() as connection:
    # SQLite cannot alter most things of a table in place; batch mode copies it.
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()

engine.dispose()
