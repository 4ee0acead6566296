"""What the release modules share, as far as it needs no server."""

from __future__ import annotations

import dataclasses
import socket
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.flask.plugins.module_utils.engine import activation, install, record, sandbox, traffic
from ansible_collections.slipway.flask.plugins.module_utils.engine.plan import Plan


def test_a_connection_counts_from_the_moment_it_waits_to_be_accepted(tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(path))
        server.listen()
        assert traffic.connections(path) == 0
        client.connect(str(path))
        assert traffic.connections(path) == 1
        accepted, _ = server.accept()
        assert traffic.connections(path) == 1
        client.close()
        accepted.close()
        assert traffic.connections(path) == 0


def test_what_an_application_puts_beside_its_socket_is_no_instance(tmp_path: Path) -> None:
    """It owns the folder; a deploy and a removal have to get through all the same."""
    release_id = "0123456789ab"
    (tmp_path / "home/releases" / release_id).mkdir(parents=True)
    for name in ("x.sock", f"{release_id}.sock"):
        (tmp_path / "run/instances" / name).mkdir(parents=True)
    moved = traffic.Traffic(str(tmp_path / "home"), str(tmp_path / "run"), "site", "site", "www-data")
    assert moved.others() == []
    moved.stop(record.Release(moved.home, release_id))


def test_a_name_that_a_neighbour_made_up_counts_for_no_connection(tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(f"\0x{path}")
        server.listen()
        client.connect(f"\0x{path}")
        assert traffic.connections(path) == 0


PLAN = Plan(
    home="/srv/site",
    user="site",
    module="main:app",
    server="gunicorn",
    uv="/opt/uv",
    python="/usr/bin/python3.13",
    static_dir="static",
    static_url="/static/",
    static_kinds=["css"],
    static_forbidden_suffixes=["py"],
    sandbox={},
    build_service={},
    shared_dirs=[],
    prestart=[],
    migrate=True,
    source="v1",
)


def test_whatever_a_release_is_made_of_counts_in_its_id(tmp_path: Path) -> None:
    """Each file of `next` by its name and content, each parameter, the interpreter; and nothing else."""
    stage = tmp_path / "next"
    files = [
        "source.tar.gz",
        "env",
        "requirements.txt",
        "hashes.txt",
        "bin/serve",
        "bin/instance",
        "bin/gunicorn.conf.py",
    ]
    (stage / "bin").mkdir(parents=True)
    for name in files:
        (stage / name).write_text("as it was")

    def id_with(**changed: Any) -> str:
        return dataclasses.replace(PLAN, home=str(tmp_path), **changed).id

    first = id_with()
    assert id_with(source="v2", build_service={"MemoryMax": "75%"}) == first
    ids = {first, id_with(python="/usr/bin/python3.14"), id_with(module="main:web"), id_with(server="uwsgi")}
    ids |= {id_with(prestart=["true"]), id_with(migrate=False)}
    ids |= {id_with(static_dir="assets"), id_with(static_url="/assets/"), id_with(shared_dirs=["data"])}
    ids |= {id_with(uv="/opt/another"), id_with(static_kinds=["js"]), id_with(static_forbidden_suffixes=[])}
    for name in files:
        (stage / name).write_text("changed")
        ids.add(id_with())
        (stage / name).write_text("as it was")
    (stage / "bin/new").write_text("")
    ids.add(id_with())
    assert len(ids) == 13 + len(files)
    (stage / "bin/new").unlink()
    (stage / "bin/granian.toml").write_text("left by another app server")
    assert id_with() == first


def test_a_source_that_points_at_the_server_s_own_files_is_read_as_its_builder(tmp_path: Path) -> None:
    """What root alone may read is refused to it, and a file that never ends is not begun."""
    code = tmp_path / "code"
    code.mkdir()
    code.chmod(0o755)
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(0o755)
    (code / "kernel.txt").symlink_to("/proc/kmsg")
    (tmp_path / "hashes.txt").write_text("")
    plan = dataclasses.replace(PLAN, server="uwsgi")
    found = sandbox.act_as("nobody", lambda: install.look(code, plan))
    assert found["module"] == PLAN.module
    (code / "uwsgi.ini").symlink_to("/etc/shadow")
    with pytest.raises(PermissionError):
        sandbox.act_as("nobody", lambda: install.look(code, plan))


def test_a_worker_that_was_restarted_has_died_whatever_it_does_just_now() -> None:
    """The web server is not one of them: its gate has passed, and the process manager sees to it."""
    status = [
        "site@0123456789ab.service\trunning\t5\t1\t0",
        "site-good-1@0123456789ab.service\trunning\t5\t0\t0",
        "site-frail-1@0123456789ab.service\trunning\t0\t3\t0",
        "site-frail-2@0123456789ab.service\tfailing\t0\t0\t0",
        "site-tick@0123456789ab.timer\twaiting\t5\t0\t0",
    ]
    dead = activation.dead_workers("\n".join(status), "site@0123456789ab")
    assert dead == ["site-frail-1@0123456789ab.service", "site-frail-2@0123456789ab.service"]


@pytest.mark.parametrize(
    ("ini", "module"),
    [
        ("[uwsgi]\nmodule = app.main\n", "app.main:application"),
        ("[uwsgi]\n    module = app.main\n\tcallable = web\n", "app.main:web"),
        (
            "; module = no\n[other]\nmodule = no\n[uwsgi]\n# no\nwsgi-file=app/main.py\ncallable = create(1)\n",
            "app.main:create(1)",
        ),
        ("[uwsgi]\nw = site:web\n", "site:web"),
        ("[uwsgi]\nprocesses = 2\n", "main:app"),
        ("", "main:app"),
    ],
)
def test_an_application_s_uwsgi_ini_says_what_uwsgi_serves(ini: str, module: str, tmp_path: Path) -> None:
    (tmp_path / "uwsgi.ini").write_text(ini)
    assert install.module_of(tmp_path, dataclasses.replace(PLAN, server="uwsgi")) == module
    assert install.module_of(tmp_path, PLAN) == "main:app"
