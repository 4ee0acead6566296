"""An application that tells who serves it, and misbehaves where its environment says so.

IMPORT_SECONDS: how long its import takes. IMPORT_ERROR: what it raises then. Its folder is $RUNTIME_DIRECTORY.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

HERE = Path(os.environ.get("RUNTIME_DIRECTORY", "/tmp"))

time.sleep(float(os.environ.get("IMPORT_SECONDS", "0")))
if "IMPORT_ERROR" in os.environ:
    raise RuntimeError(os.environ["IMPORT_ERROR"])
(HERE / f"imported-{os.getpid()}").touch()


def work(seconds: float) -> dict[str, float]:
    """Take a while; tell from when to when, on the clock that all processes of a machine share."""
    begin = time.monotonic()
    (HERE / "working").touch()
    time.sleep(seconds)
    return {"begin": begin, "end": time.monotonic()}


def wait() -> None:
    """Take until there is a file `enough`, and show that meanwhile."""
    mark = HERE / f"waiting-{os.getpid()}-{threading.get_ident()}"
    mark.touch()
    deadline = time.monotonic() + 25
    while not (HERE / "enough").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    mark.unlink()


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Answer /work?SECONDS, /wait, /say?WORDS and any other path, with JSON."""
    told: dict[str, Any] = {
        "pid": os.getpid(),
        "scheme": environ["wsgi.url_scheme"],
        "secrets": [name for name in os.environ if name.startswith(("SLIPWAY_", "NOTIFY_"))],
        "greetings": [os.environ.get("GREETING"), os.environ.get("SIGNATURE")],
    }
    match environ["PATH_INFO"]:
        case "/work":
            told |= work(float(environ["QUERY_STRING"]))
        case "/wait":
            wait()
        case "/say":
            print(environ["QUERY_STRING"])
    body = json.dumps(told).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def create(greeting: str) -> Callable[..., Iterable[bytes]]:
    """Make another application: it greets."""

    def greet(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        body = json.dumps({"greeting": greeting, "pid": os.getpid()}).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return greet
