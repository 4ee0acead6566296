"""Needs a package of a private index, one of a private repository, and one that its requirements do not name."""

from importlib.metadata import version

from flask import Flask

app = Flask(__name__)


@app.get("/")
def index() -> dict:
    """Tell which versions the release has."""
    return {name: version(name) for name in ("closed", "hidden", "tabulate")}
