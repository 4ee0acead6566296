"""One file, no dependency file: Flask alone."""

import os

from flask import Flask, request

app = Flask(__name__)


@app.get("/")
def index() -> dict:
    """Tell what this instance is."""
    return {
        "name": os.environ["APP_NAME"],
        "release": os.environ["APP_RELEASE"],
        "greeting": os.environ.get("GREETING"),
        "secret_key_bytes": len(os.environ["SECRET_KEY"]),
        "folder": os.getcwd(),
    }


@app.put("/notes/<name>")
def write(name: str) -> tuple[dict, int]:
    """Write into the folder that outlives a release."""
    with open(f".data/notes/{name}", "wb") as note:
        note.write(request.get_data())
    return {"written": name}, 201


@app.get("/notes/<name>")
def read(name: str) -> bytes:
    """Read from it."""
    with open(f".data/notes/{name}", "rb") as note:
        return note.read()
