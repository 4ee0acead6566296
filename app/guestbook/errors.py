"""Friendly error pages, and the same errors as JSON for programs."""

import logging

from flask import Flask, current_app, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge, ServiceUnavailable

logger = logging.getLogger(__name__)

PAGES = {
    404: ("This page is blank", "Nobody has written anything at this address."),
    500: ("The ink ran", "That was our mistake, not yours. It is noted, and we will look into it."),
    503: ("The book is closed for a moment", "Please come back in a minute; nothing is lost."),
}


def prepare(app: Flask) -> None:
    """Let all errors of an application end here."""
    app.register_error_handler(HTTPException, _answer)
    app.register_error_handler(RequestEntityTooLarge, _too_large)
    app.register_error_handler(OperationalError, _database_away)
    app.register_error_handler(PoolTimeoutError, _database_away)


def _answer(error: HTTPException) -> ResponseReturnValue:
    code = error.code or 500
    if request.path.startswith("/api/"):
        return {"error": error.description or error.name}, code, _headers(error)
    title, text = PAGES.get(code, (error.name, error.description))
    page = render_template("error.html", code=code, title=title, text=text)
    return page, code, _headers(error)


def _headers(error: HTTPException) -> list[tuple[str, str]]:
    """What belongs to this error, such as Allow or Retry-After."""
    return [(name, value) for name, value in error.get_headers() if name != "Content-Type"]


def _too_large(error: RequestEntityTooLarge) -> ResponseReturnValue:
    limit = current_app.config["MAX_CONTENT_LENGTH"] // 2**20
    error.description = f"That is more than we can take: at most {limit} MB at a time."
    return _answer(error)


def _database_away(error: SQLAlchemyError) -> ResponseReturnValue:
    logger.error("the database does not answer: %s", getattr(error, "orig", error))
    return _answer(ServiceUnavailable(PAGES[503][1], retry_after=10))
