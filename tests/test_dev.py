"""`make dev`: the application on the developer's machine, reloading as files change.

What needs a PostgreSQL is in molecule/postgresql.
"""

from __future__ import annotations

import contextlib
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

import dev
import dev_postgresql
from engine.test_monorepo import lay_out
from plugin import ROOT
from probe import until

# Only a failure takes so long.
PATIENCE_SECONDS = 300


@pytest.fixture
def application(tmp_path: Path) -> Path:
    """Return a copy of the example application."""
    return Path(shutil.copytree(ROOT / "app", tmp_path / "app", ignore=shutil.ignore_patterns("instance", "tests")))


@contextlib.contextmanager
def served(application: Path, *more: str) -> Iterator[Path]:
    """Run `make dev`; return the file of what it prints. The signal that ends it reaches all of it, as from a terminal."""
    # Port 0 is one that is free: a port that was looked for beforehand may be taken by then.
    environment = {**os.environ, "FLASK_RUN_PORT": "0"}
    argv = ["make", "--silent", "dev", f"APP={application}", *more]
    path = application.with_suffix(".log")
    with (
        path.open("w") as log,
        # In a separate session, so that the process that reloads ends with the one that started it.
        subprocess.Popen(
            argv, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        ) as server,
    ):
        try:
            yield path
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                raise


def front_page(log: Path) -> str:
    """Return the address at which `make dev` says that it serves."""
    found: list[str] = []

    def is_running() -> bool:
        found.extend(re.findall(r"Running on (http://\S+)", log.read_text()))
        return bool(found)

    until(is_running, f"the server says where it runs: {log.read_text()}", PATIENCE_SECONDS)
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


def test_a_change_is_there_at_the_next_request(application: Path) -> None:
    with served(application, "MODULE=guestbook:create_app()") as log:
        address = front_page(log)
        assert "</main>" in page(address, "</main>"), log.read_text()
        save(
            application / "guestbook/__init__.py",
            "    return app\n",
            '    app.jinja_env.globals["news"] = "fresh"\n    return app\n',
        )
        save(application / "guestbook/templates/base.html", "</main>", "<p>All is {{ news }}.</p></main>")
        assert "All is fresh." in page(address, "All is fresh."), log.read_text()


def test_an_application_has_what_its_own_requirements_name(tmp_path: Path) -> None:
    """In a virtualenv of its own, in its folder; and main:app is served where no other is named."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "requirements.txt").write_text("flask<2.2\nwerkzeug<2.2\n")
    (folder / "main.py").write_text(
        "import os\nfrom importlib.metadata import version\nfrom flask import Flask\napp = Flask(__name__)\n"
        "@app.route('/')\ndef page():\n    return f\"Flask {version('flask')}, {os.environ['SECRET_KEY']}\"\n"
    )
    with served(folder) as log:
        assert "Flask 2.1.3, dev" in page(front_page(log), "Flask 2"), log.read_text()
    assert (folder / ".venv/bin/flask").exists()


def test_a_poetry_project_has_what_it_would_have_on_a_server(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.poetry]\nname = "shop"\n[tool.poetry.dependencies]\nflask = "*"\n'
        '[build-system]\nrequires = ["poetry-core"]\nbuild-backend = "poetry.core.masonry.api"\n'
    )
    assert dev.dependencies(tmp_path)[-2:] == ["--requirement", "pyproject.toml"]
    (tmp_path / "pyproject.toml").unlink()
    assert Path(dev.dependencies(tmp_path)[-1]).is_file(), "where nothing is named, Flask, as on a server"


def test_a_member_of_a_workspace_has_what_the_workspace_s_lock_names(tmp_path: Path) -> None:
    lay_out(tmp_path, "workspace")
    member = tmp_path / "services/web"
    assert dev.dependencies(member) == ["sync", "--frozen"]
    # One that needs no other travels alone, and so its release does not know the lock.
    (member / "pyproject.toml").write_text('[project]\nname = "web"\nversion = "1"\n')
    assert dev.dependencies(member)[-2:] == ["--requirement", "pyproject.toml"]


def test_a_postgresql_that_cannot_run_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "initdb").write_text("#!/bin/sh\necho 'initdb (PostgreSQL) 17.5'\n")
    (tmp_path / "initdb").chmod(0o755)
    monkeypatch.setattr(dev_postgresql, "PLACES", (str(tmp_path),))
    monkeypatch.setenv("PATH", "")
    assert dev_postgresql.programs(tmp_path) == tmp_path
    (tmp_path / "PG_VERSION").write_text("15\n")
    with pytest.raises(SystemExit, match="has the data of PostgreSQL 15, which is not installed"):
        dev_postgresql.programs(tmp_path)
    monkeypatch.setattr(dev_postgresql, "PLACES", ())
    with pytest.raises(SystemExit, match=r"not installed on this machine\. Install it: apt install postgresql"):
        dev_postgresql.programs(tmp_path / "new")


def test_what_cannot_be_served_is_said(tmp_path: Path) -> None:
    def said(folder: Path, *more: str) -> str:
        argv = ["make", "--silent", "dev", f"APP={folder}", *more]
        result = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
        assert result.returncode != 0
        return result.stderr

    assert f"APP: the folder {tmp_path}/nowhere does not exist" in said(tmp_path / "nowhere")
    (tmp_path / "requirements.txt").write_text("itsdangerous\n")
    assert "does not bring the command `flask`" in said(tmp_path)
    deep = tmp_path / ("deep" * 25)
    deep.mkdir()
    assert "its socket, has a path of more than 103 bytes" in said(deep, "POSTGRESQL=1")
