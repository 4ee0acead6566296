"""A visitors' book: the example application of Slipway."""

import logging
import sys

from flask import Flask
from sqlalchemy import NullPool
from sqlalchemy.orm import sessionmaker

from guestbook import api, book, errors, health, pictures, serving
from guestbook.database import make_engine, migrate
from guestbook.settings import Settings


def create_app(settings: Settings | None = None) -> Flask:
    """The application, with the environment's settings unless told others.

    Raises SettingsError when these are not complete.
    """
    configure_logging()
    settings = settings or Settings.from_environment()
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY=settings.secret_key,
        MAX_CONTENT_LENGTH=settings.max_content_length_mb * 2**20,
        UPLOAD_FOLDER=settings.upload_folder,
        RELEASE=settings.release,
        # Browsers keep cookies apart by host, not by port: two books on one host must differ.
        SESSION_COOKIE_NAME=f"{settings.name}_session",
        SESSION_COOKIE_SAMESITE="Lax",
        # A form stays good for as long as its session, however long the visitor thinks.
        WTF_CSRF_TIME_LIMIT=None,
    )
    engine = make_engine(settings.database_url, pool_timeout=5)
    app.extensions["sessions"] = sessionmaker(engine, expire_on_commit=False)
    app.extensions["health_engine"] = make_engine(settings.database_url, connect_timeout_seconds=1, poolclass=NullPool)
    for module in (book, pictures, api, health):
        app.register_blueprint(module.blueprint)
    serving.prepare(app, settings.trusted_proxies)
    errors.prepare(app)
    if settings.is_local:
        migrate(settings.database_url)
    return app


def configure_logging() -> None:
    """Log to standard error; time and unit are added by what reads it (journald)."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
