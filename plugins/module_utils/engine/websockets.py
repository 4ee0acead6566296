"""Whether the WebSockets of an application can work under its app server."""

from __future__ import annotations

import re

from ansible_collections.slipway.flask.plugins.module_utils.engine.record import Release


def warning(release: Release, server: str) -> str:
    """Return what will not work of the packages for WebSockets that a release has, and what to do; "" where all will.

    Of these app servers simple-websocket, through which flask-sock and Flask-SocketIO have their WebSockets, can take a connection from
    gunicorn alone. Flask-SocketIO's clients begin with several HTTP requests, and only the worker that had the first knows them
    (https://flask-socketio.readthedocs.io/en/latest/deployment.html).
    """
    packages = {path.name for path in release.path.glob(".venv/lib/python*/site-packages/*")}
    if "simple_websocket" not in packages:
        return ""
    if server != "gunicorn":
        return (
            f"app_server: {server} cannot serve the WebSockets of flask-sock and Flask-SocketIO, and the application has the package "
            "for them (simple-websocket). Where it opens any, set app_server to gunicorn."
        )
    if "flask_socketio" not in packages:
        return ""
    # The last counts: gunicorn_settings come after gunicorn_workers.
    workers = re.findall("^workers = ([0-9]+)$", (release.path / "bin/gunicorn.conf.py").read_text(), re.MULTILINE)
    if workers and workers[-1] != "1":
        return (
            f"gunicorn_workers: with {workers[-1]} workers most clients of Flask-SocketIO are refused, as all of a client's first requests have to "
            "reach the same worker. Set it to 1, and gunicorn_threads to the number of clients; docs/websockets.md has another way."
        )
    return ""
