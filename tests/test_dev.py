"""`make dev`: the application on the developer's machine, reloading as files change."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugin import ROOT
from probe import until

# Only a failure takes so long.
PATIENCE_SECONDS = 300


@pytest.fixture
def application(tmp_path: Path) -> Path:
    """Return a copy of the example application."""
    return Path(shutil.copytree(ROOT / "app", tmp_path / "app", ignore=shutil.ignore_patterns("instance", "tests")))


@pytest.fixture
def log(application: Path, tmp_path: Path) -> Iterator[Path]:
    """Run `make dev`; return the file of what it prints."""
    # Port 0 is one that is free: a port that was looked for beforehand may be taken by then.
    environment = {**os.environ, "FLASK_RUN_PORT": "0", "PATH": f"{ROOT}/.venv-app/bin:{os.environ['PATH']}"}
    argv = ["make", "--silent", "dev", f"APP={application}", "MODULE=guestbook:create_app()"]
    path = tmp_path / "log"
    with (
        path.open("w") as log,
        # In a separate session, so that the process that reloads ends with the one that started it.
        subprocess.Popen(
            argv, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        ) as server,
    ):
        yield path
        os.killpg(server.pid, signal.SIGTERM)


@pytest.fixture
def front_page(log: Path) -> str:
    """Return the address at which `make dev` says that it serves."""
    found: list[str] = []

    def is_running() -> bool:
        found.extend(re.findall(r"Running on (http://\S+)", log.read_text()))
        return bool(found)

    until(is_running, "the server says where it runs", PATIENCE_SECONDS)
    return found[0]


def page(address: str, words: str) -> str:
    """Ask for a page until it says something; return it as it was in the end.

    The reloader keeps the listening socket while the application starts again: a request waits there for as long as
    that takes. One that the old application was about to answer ends with it, and is sent again.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    last = ""
    while words not in last and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(address, timeout=PATIENCE_SECONDS) as answer:
                last = answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            last = repr(error)
            time.sleep(0.2)
    return last


def save(path: Path, old: str, new: str) -> None:
    """Change a file as an editor does: it is never there by half, which the reloader could load and then never notice."""
    beside = path.with_suffix(".new")
    beside.write_text(path.read_text().replace(old, new))
    beside.replace(path)


def test_a_change_is_there_at_the_next_request(application: Path, front_page: str, log: Path) -> None:
    assert "</main>" in page(front_page, "</main>"), log.read_text()
    save(
        application / "guestbook/__init__.py",
        "    return app\n",
        '    app.jinja_env.globals["news"] = "fresh"\n    return app\n',
    )
    save(application / "guestbook/templates/base.html", "</main>", "<p>All is {{ news }}.</p></main>")
    assert "All is fresh." in page(front_page, "All is fresh."), log.read_text()
