"""An application that is nothing like the example."""

from flask import Flask

app = Flask(__name__)


@app.get("/")
def index() -> str:
    """Greet."""
    return "Hello from one file.\n"
