"""Whether this process can do its work, for whoever decides to send visitors here."""

import logging

from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

blueprint = Blueprint("health", __name__)
logger = logging.getLogger(__name__)


@blueprint.get("/healthz")
def healthz() -> ResponseReturnValue:
    """200 when the database answers, else 503. The details, which may name hosts, are only logged.

    It takes a connection of its own: a busy pool is no illness, and a connection that hangs
    cannot hold up the answer.
    """
    report = {"status": "ok", "database": "ok", "release": current_app.config["RELEASE"]}
    headers = {"Cache-Control": "no-store"}
    try:
        with current_app.extensions["health_engine"].connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        logger.error("the database does not answer: %s", getattr(error, "orig", error))
        reason = f"does not answer ({type(error).__name__})"
        return report | {"status": "failing", "database": reason}, 503, headers
    return report, 200, headers
