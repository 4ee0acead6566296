"""Calls the application without a server, in a process for each core; prints {requests, seconds, cpu_us} as JSON."""

import io
import json
import multiprocessing
import os
import time

from main import app

SECONDS = 3.0


def environ() -> dict[str, object]:
    """Return a request as a server would pass it on."""
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }


def call(_: int) -> tuple[int, float]:
    """Return how many calls one process made, and the seconds of CPU that they took."""
    count, until = 0, time.monotonic() + SECONDS
    began = time.process_time()
    while time.monotonic() < until:
        answer = app(environ(), lambda status, headers, exc_info=None: None)
        b"".join(answer)
        answer.close()
        count += 1
    return count, time.process_time() - began


if __name__ == "__main__":
    cores = os.cpu_count() or 1
    with multiprocessing.Pool(cores) as pool:
        counts, seconds = zip(*pool.map(call, range(cores)), strict=True)
    print(json.dumps({"requests": sum(counts), "seconds": SECONDS, "cpu_us": {"app": sum(seconds) * 1e6}}))
