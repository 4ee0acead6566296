"""The application that every side serves: a page of one line, and one with a query."""

import os

from flask import Flask
from sqlalchemy import create_engine, text

app = Flask(__name__)
# Each process has a pool of connections, as SQLAlchemy sets it up; none is open before the first query.
engine = create_engine(os.environ.get("DATABASE_URL", "sqlite://"))


@app.get("/")
def page() -> str:
    """The plain page."""
    return "Hello, World!"


@app.get("/query")
def query() -> str:
    """A page with one query."""
    with engine.connect() as connection:
        return str(connection.scalar(text("SELECT 42")))
