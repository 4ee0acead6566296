"""The application that every side serves: a page of one line, and one with a query."""

import os
from functools import cache

from flask import Flask
from sqlalchemy import Engine, create_engine, text

app = Flask(__name__)


@app.get("/")
def page() -> str:
    """The plain page."""
    return "Hello, World!"


@cache
def engine() -> Engine:
    """Return the process's pool of connections, with SQLAlchemy's own settings."""
    return create_engine(os.environ["DATABASE_URL"])


@app.get("/query")
def query() -> str:
    """A page with one query."""
    with engine().connect() as connection:
        return str(connection.scalar(text("SELECT 42")))
