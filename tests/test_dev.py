"""`make dev`: the application on the developer's machine, reloading as files change."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugin import ROOT

# Far above what it takes.
PATIENCE_SECONDS = 60


@pytest.fixture
def application(tmp_path: Path) -> Path:
    """Return a copy of the example application."""
    return Path(shutil.copytree(ROOT / "app", tmp_path / "app", ignore=shutil.ignore_patterns("instance", "tests")))


@pytest.fixture
def port(application: Path) -> Iterator[int]:
    """Return where `make dev` serves it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
    environment = {**os.environ, "FLASK_RUN_PORT": str(number), "PATH": f"{ROOT}/.venv-app/bin:{os.environ['PATH']}"}
    argv = ["make", "--silent", "dev", f"APP={application}", "MODULE=guestbook:create_app()"]
    # In a session of its own, so that the process that reloads ends with the one that started it.
    with subprocess.Popen(argv, cwd=ROOT, env=environment, start_new_session=True) as server:
        yield number
        os.killpg(server.pid, signal.SIGTERM)


def says(port: int, words: str) -> bool:
    """Wait until the front page says something; return whether it came to that."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                if words in answer.read().decode():
                    return True
        except (urllib.error.URLError, ConnectionError):
            pass  # not yet there, or just reloading
        time.sleep(0.2)
    return False


def test_a_change_is_there_at_the_next_request(application: Path, port: int) -> None:
    assert says(port, "</main>")
    module = application / "guestbook/__init__.py"
    module.write_text(
        module.read_text().replace("    return app\n", '    app.jinja_env.globals["news"] = "fresh"\n    return app\n')
    )
    base = application / "guestbook/templates/base.html"
    base.write_text(base.read_text().replace("</main>", "<p>All is {{ news }}.</p></main>"))
    assert says(port, "All is fresh.")
