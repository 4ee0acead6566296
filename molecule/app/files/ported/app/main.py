"""Laid out as for the well-known images of uWSGI with nginx: app/main.py, and uwsgi.ini above its folder."""

import sys

from flask import Flask

app = Flask(__name__)


@app.get("/")
def index() -> dict[str, bool]:
    """Say who serves it: the module exists in uWSGI's own processes alone."""
    return {"uwsgi": "uwsgi" in sys.builtin_module_names or "uwsgi" in sys.modules}
