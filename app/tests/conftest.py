"""An application on a fresh, migrated database for each test.

The database is SQLite, or the one TEST_DATABASE_URL names: its tables are dropped and made anew.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from guestbook import create_app
from guestbook.database import migrate
from guestbook.settings import Settings

ALEMBIC_INI = Path(__file__).resolve().parent.parent / "alembic.ini"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        secret_key="for the tests",
        database_url=os.environ.get("TEST_DATABASE_URL") or f"sqlite:///{tmp_path / 'test.db'}",
        upload_folder=tmp_path / "uploads",
        max_content_length_mb=1,
        release="r42",
    )


@pytest.fixture
def alembic_config(settings: Settings) -> Config:
    config = Config(ALEMBIC_INI)
    config.attributes["database_url"] = settings.database_url
    return config


@pytest.fixture
def app(settings: Settings, alembic_config: Config) -> Iterator[Flask]:
    migrate(settings.database_url)
    app = create_app(settings)
    yield app
    app.extensions["sessions"].kw["bind"].dispose()
    command.downgrade(alembic_config, "base")


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def make_client(settings: Settings) -> Callable[..., FlaskClient]:
    """A client of an application that differs in the settings given; its tables are not made."""
    return lambda **changes: create_app(replace(settings, **changes)).test_client()


@pytest.fixture
def csrf_token(client: FlaskClient) -> str:
    found = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', client.get("/").text)
    assert found
    return found[1]


@pytest.fixture
def sign(client: FlaskClient, csrf_token: str) -> Callable[..., TestResponse]:
    """Send the page's form as a browser would."""

    def send(**fields: Any) -> TestResponse:
        form = {"name": "Ada", "message": "Hello", "csrf_token": csrf_token} | fields
        return client.post("/", data=form)

    return send
