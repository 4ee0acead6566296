"""A private package index: the package `closed`, on 127.0.0.1:8099, for who shows the password."""

from __future__ import annotations

import base64
import functools
import http.server
import io
import tempfile
import zipfile
from pathlib import Path
from typing import BinaryIO

KNOWN = f"Basic {base64.b64encode(b'reader:t0ken-of-the-index').decode()}"
WHEEL = "closed-1.0-py3-none-any.whl"
FILES = {
    "closed.py": "",
    "closed-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: closed\nVersion: 1.0\n",
    "closed-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "closed-1.0.dist-info/RECORD": "closed.py,,\n",
}


class Index(http.server.SimpleHTTPRequestHandler):
    """Files, for who is known."""

    def send_head(self) -> io.BytesIO | BinaryIO | None:
        """Answer 401 to all others."""
        if self.headers.get("Authorization") == KNOWN:
            return super().send_head()
        self.send_error(401)
        return None


def publish(folder: Path) -> None:
    """Write the package, and its page in the simple API (PEP 503)."""
    with zipfile.ZipFile(folder / WHEEL, "w") as archive:
        for name, text in FILES.items():
            archive.writestr(name, text)
    (folder / "simple/closed").mkdir(parents=True)
    (folder / "simple/closed/index.html").write_text(f'<a href="/{WHEEL}">{WHEEL}</a>')


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        publish(Path(folder))
        handler = functools.partial(Index, directory=folder)
        http.server.ThreadingHTTPServer(("127.0.0.1", 8099), handler).serve_forever()
