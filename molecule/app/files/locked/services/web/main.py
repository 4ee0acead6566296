"""Its versions come from uv.lock, which the scenario makes: a lock names where its packages come from."""

from importlib.metadata import version

from flask import Flask
from library import VERSION

app = Flask(__name__)


@app.get("/")
def index() -> dict:
    """Tell versions that only the lock asks for, that of the app server, and what the library next to it says."""
    return {"library": VERSION, **{name: version(name) for name in ("itsdangerous", "click", "granian")}}
