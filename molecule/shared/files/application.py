"""An application that tells who serves it, and misbehaves where its environment says so.

IMPORT_SECONDS: how long its import takes. IMPORT_ERROR: what it raises then. IMPORT_ONCE: the first process alone gets
through it, the others do not until there is a file `enough`. Its folder is $RUNTIME_DIRECTORY.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(os.environ.get("RUNTIME_DIRECTORY", "/tmp"))
# Only a failure takes so long. Longer than a client waits, so that what waits here never answers by itself.
PATIENCE_SECONDS = 600


def wait_until_enough(mark: str = "enough") -> None:
    """Wait until there is a file of that name."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (HERE / mark).exists() and time.monotonic() < deadline:
        time.sleep(0.05)


time.sleep(float(os.environ.get("IMPORT_SECONDS", "0")))
if "IMPORT_ERROR" in os.environ:
    raise RuntimeError(os.environ["IMPORT_ERROR"])
if "IMPORT_ONCE" in os.environ:
    try:
        (HERE / "first").touch(exist_ok=False)
    except FileExistsError:
        wait_until_enough()
(HERE / f"imported-{os.getpid()}").touch()


def wait() -> dict[str, float]:
    """Take until there is a file `enough`, and show that in the meantime.

    Tell from when to when, on the clock that all processes of a machine share.
    """
    begin = time.monotonic()
    mark = HERE / f"waiting-{os.getpid()}-{threading.get_ident()}"
    mark.touch()
    wait_until_enough()
    mark.unlink()
    return {"begin": begin, "end": time.monotonic()}


def events(mark: str) -> Iterator[bytes]:
    """Send an event, and another when there is a file of that name."""
    yield b"data: first\n\n"
    wait_until_enough(mark)
    yield b"data: second\n\n"


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Answer /events?MARK with events; /sleep?SECONDS, /wait, /say?WORDS and any other path with JSON."""
    if environ["PATH_INFO"] == "/events":
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return events(environ["QUERY_STRING"])
    told: dict[str, Any] = {
        "pid": os.getpid(),
        "visitor": [environ.get(name) for name in ("REMOTE_ADDR", "wsgi.url_scheme", "HTTP_HOST", "SERVER_PORT")],
        "secrets": [name for name in os.environ if name.startswith(("SLIPWAY_", "NOTIFY_"))],
        "greetings": [os.environ.get("GREETING"), os.environ.get("SIGNATURE")],
    }
    match environ["PATH_INFO"]:
        case "/sleep":
            time.sleep(float(environ["QUERY_STRING"]))
        case "/wait":
            told |= wait()
        case "/say":
            print(environ["QUERY_STRING"])
    body = json.dumps(told).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


application.secret_key = "dev"  # type: ignore[attr-defined] # as an application of Flask's has it


def create(greeting: str) -> Callable[..., Iterable[bytes]]:
    """Make another application: it greets."""

    def greet(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        body = json.dumps({"greeting": greeting, "pid": os.getpid()}).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return greet
