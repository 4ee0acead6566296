"""An application that tells what its process is like."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

import only_here  # in the release's virtualenv alone


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    told = {
        "module": only_here.__file__,
        "prefix": sys.prefix,
        "folder": os.getcwd(),
        "user": os.getuid(),
        "umask": os.umask(0o027),
        "setting": os.environ.get("SETTING"),
        "authorization": environ.get("HTTP_AUTHORIZATION"),
        "encoding": sys.getfilesystemencoding(),
        "path": environ["PATH_INFO"],
        "script": environ["SCRIPT_NAME"],
    }
    body = json.dumps(told).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
