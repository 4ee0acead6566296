"""The tables and the way to them."""

from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from flask import current_app
from sqlalchemy import DateTime, Engine, String, create_engine, make_url
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.types import TypeDecorator

NAME_LENGTH = 80
MESSAGE_LENGTH = 2000


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC, also from SQLite (which forgets the zone) and from any session time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the moment its zone."""
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    """All tables."""


class Entry(Base):
    """What one visitor left in the book."""

    __tablename__ = "entries"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(NAME_LENGTH))
    message: Mapped[str] = mapped_column(String(MESSAGE_LENGTH))
    picture: Mapped[str | None] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=lambda: datetime.now(UTC))


def make_engine(address: str, connect_timeout_seconds: int = 5, **options: Any) -> Engine:
    """An engine that connects only when first used, so it may be made before a server forks."""
    url = make_url(address)
    arguments: dict[str, object] = {}
    if url.get_backend_name() == "sqlite" and url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    elif url.get_backend_name() == "postgresql":
        # SQLAlchemy 2.1 takes psycopg 3 where an address names no driver.
        url = url.set(drivername="postgresql+psycopg2")
        arguments["connect_timeout"] = connect_timeout_seconds
    return create_engine(url, connect_args=arguments, pool_pre_ping=True, **options)


def transaction() -> AbstractContextManager[Session]:
    """A session of the current application: committed at the end, rolled back on an error."""
    return current_app.extensions["sessions"].begin()


def migrate(address: str) -> None:
    """Bring the database at this address to the newest schema, as `alembic upgrade head` does."""
    config = Config(Path(__file__).resolve().parent.parent / "alembic.ini")
    config.attributes["database_url"] = address
    command.upgrade(config, "head")
