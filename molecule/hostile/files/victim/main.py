"""An application that nothing happens to."""

from flask import Flask

app = Flask(__name__)


@app.get("/")
def index() -> str:
    """What no visitor of another site should read."""
    return "the victim's own page"
