"""What every answer has in common: who gave it, its headers, its cookies, its links."""

import hashlib
import os
import socket
from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import Flask, Response, current_app, request
from flask.sessions import SecureCookieSessionInterface
from werkzeug.middleware.proxy_fix import ProxyFix

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class SchemeAwareSessions(SecureCookieSessionInterface):
    """Session cookies that stay on HTTPS once they came over it, and still work without it."""

    def get_cookie_secure(self, app: Flask) -> bool:
        """Whether the cookie may only travel over HTTPS."""
        return request.is_secure


def served_by() -> dict[str, str | int]:
    """The release, host and instance (the worker's process id) that give this answer."""
    return {
        "release": current_app.config["RELEASE"],
        "host": socket.gethostname(),
        "instance": os.getpid(),
    }


def prepare(app: Flask, trusted_proxies: int) -> None:
    """Set up the headers, cookies, links and proxies of an application."""
    app.session_interface = SchemeAwareSessions()
    app.context_processor(lambda: {"served_by": served_by()})

    @app.after_request
    def add_headers(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    @app.url_defaults
    def add_version(endpoint: str, values: dict[str, Any]) -> None:
        """Let the address of a static file change with its content, so that it may be cached."""
        if endpoint == "static" and app.static_folder:
            path = Path(app.static_folder, values["filename"])
            values["v"] = _digest(path, path.stat().st_mtime_ns)

    if trusted_proxies:
        # The edge sends the visitor's Host itself; only address and scheme come in X-Forwarded-*.
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=trusted_proxies, x_proto=1)  # type: ignore[method-assign]


@lru_cache
def _digest(path: Path, modified: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
