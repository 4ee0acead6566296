"""What a deploy says of packages for WebSockets that will not work as it is."""

from __future__ import annotations

import dataclasses

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.flask.plugins.module_utils.engine import websockets
from ansible_collections.slipway.flask.plugins.module_utils.engine.lock import Deploy
from ansible_collections.slipway.flask.plugins.module_utils.engine.record import Release
from ansible_collections.slipway.flask.plugins.modules import release_build

from engine.builds import UV, Build
from engine.host import NEW, Host, RunModule

FLASK_SOCK = ("flask", "flask_sock", "simple_websocket")
FLASK_SOCKETIO = ("flask", "flask_socketio", "simple_websocket")


@pytest.mark.parametrize(
    ("server", "packages", "settings", "said"),
    [
        ("uwsgi", FLASK_SOCK, "", "app_server: uwsgi cannot serve the WebSockets"),
        ("granian", FLASK_SOCKETIO, "", "app_server: granian cannot serve the WebSockets"),
        ("mod_wsgi", FLASK_SOCK, "", "app_server: mod_wsgi cannot serve the WebSockets"),
        ("mod_wsgi", ("flask",), "", ""),
        ("gunicorn", FLASK_SOCK, "workers = 4\n", ""),
        ("gunicorn", FLASK_SOCKETIO, "workers = 4\nthreads = 1\n", "gunicorn_workers: with 4 workers most clients"),
        ("gunicorn", FLASK_SOCKETIO, "workers = 1\nthreads = 4\n", ""),
        ("gunicorn", FLASK_SOCKETIO, "workers = 4\nthreads = 4\nworkers = 1\n", ""),
        ("gunicorn", FLASK_SOCKETIO, "workers = os.cpu_count()\n", ""),
    ],
)
def test_what_cannot_work_is_said_and_nothing_else(
    host: Host, server: str, packages: tuple[str, ...], settings: str, said: str
) -> None:
    release: Release = host.release(NEW)
    (release.path / "bin/gunicorn.conf.py").write_text(settings)
    for name in packages:
        (release.path / ".venv/lib/python3.13/site-packages" / name).mkdir(parents=True)
    warning = websockets.warning(release, server)
    assert warning.startswith(said)
    assert bool(warning) is bool(said)


def test_the_build_warns_of_it_once(
    source: Build, host: Host, run_module: RunModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []
    # Here it would go to the terminal.
    monkeypatch.setattr(AnsibleModule, "warn", lambda _, text: warnings.append(text))
    host.program("uv", f"{UV}\nmkdir -p ../.venv/lib/python3.13/site-packages/simple_websocket")
    Deploy(host.home, "a").ask({"who": "ada"})
    source.pack()
    plan = {**dataclasses.asdict(source.plan), "server": "granian"}
    home = plan.pop("home")
    built, _ = (run_module(release_build.main, home=home, plan=plan, lock="a") for _ in range(2))
    assert warnings == [websockets.warning(Release(host.home, built["id"]), "granian")]
