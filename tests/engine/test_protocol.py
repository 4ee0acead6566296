"""What the edge speaks to the application, and which releases it may be given."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.slipway.flask.plugins.module_utils.engine import files, protocol, traffic
from ansible_collections.slipway.flask.plugins.module_utils.engine.lock import Deploy
from ansible_collections.slipway.flask.plugins.module_utils.engine.record import Release
from ansible_collections.slipway.flask.plugins.modules import release_start

from engine.host import NEW, OLD, PATIENCE_SECONDS, Host, RunModule, asked


def speaking(host: Host, release_id: str, **record: object) -> Release:
    """Make a release whose app server serves the uwsgi protocol, too."""
    release = host.release(release_id, "", **record)
    (release.path / "bin/serve").write_text('exec uwsgi "$1" "${1%.sock}.uwsgi"\n')
    return release


def edge(host: Host, socket_name: str) -> list[str]:
    """Write the edge's file of the site; return where it could be."""
    site = host.folder / "site.conf"
    site.write_text(f"pass unix:{host.run}/{socket_name};\n")
    return [str(host.folder / "other.conf"), str(site)]


# --- The second link


def test_both_links_lead_to_a_release_that_speaks_uwsgi(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[str] = []

    def noted(target: str, path: Path) -> None:
        moved.append(path.name)
        files.link(target, path)

    monkeypatch.setattr(traffic, "link", noted)
    site = host.traffic()
    site.give(speaking(host, NEW))
    assert moved == ["current", "app.uwsgi", "app.sock", "switch"]
    assert (host.run / "app.uwsgi").readlink() == Path(f"instances/{NEW}.uwsgi")
    assert f"L+ {host.run}/app.uwsgi - - - - instances/{NEW}.uwsgi\n" in site.folder.tmpfiles.read_text()


def test_no_link_is_left_to_a_release_that_does_not(host: Host) -> None:
    site = host.traffic()
    site.give(speaking(host, OLD))
    site.give(host.release(NEW))
    assert not (host.run / "app.uwsgi").is_symlink()
    assert "app.uwsgi" not in site.folder.tmpfiles.read_text()
    assert site.active == NEW


def test_a_switch_that_was_cut_off_between_the_links_is_nobody_s_traffic(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either edge still finds an instance: the deploy that comes next stops neither."""

    def cut_off(target: str, path: Path) -> None:
        if path.name == "app.sock" and NEW in target:
            raise KeyboardInterrupt
        files.link(target, path)

    site = host.traffic()
    site.give(speaking(host, OLD))
    monkeypatch.setattr(traffic, "link", cut_off)
    with pytest.raises(KeyboardInterrupt):
        site.give(speaking(host, NEW))
    assert (site.active, files.linked(host.home / "current"), site.answering) == ("", NEW, OLD)
    assert (host.run / "app.uwsgi").readlink() == Path(f"instances/{NEW}.uwsgi")


def test_root_follows_no_link_in_the_place_of_the_second_one(host: Host, tmp_path: Path) -> None:
    """The folder was the application's once."""
    (tmp_path / "precious").write_text("kept")
    (host.run / "app.uwsgi").symlink_to(tmp_path / "precious")
    host.traffic().give(speaking(host, OLD))
    assert (host.run / "app.uwsgi").readlink() == Path(f"instances/{OLD}.uwsgi")
    host.traffic().give(host.release(NEW))
    assert (tmp_path / "precious").read_text() == "kept"


# --- The end of an instance


def test_a_request_in_uwsgi_is_waited_for_and_its_socket_goes(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    site, old = host.traffic(), speaking(host, OLD, running=True)
    path, waited = site.socket(OLD).with_suffix(".uwsgi"), list[bool]()
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as edge:
        server.bind(str(path))
        server.listen()
        edge.connect(str(path))

        def leave(_: float) -> None:
            """Leave while the instance is waited for."""
            assert asked(old) == []
            waited.append(True)
            edge.close()
            server.accept()[0].close()

        monkeypatch.setattr(traffic, "time", SimpleNamespace(monotonic=time.monotonic, sleep=leave))
        site.retire([old], PATIENCE_SECONDS)
    assert waited == [True]
    assert asked(old) == ["stop"]
    assert not path.exists()


def test_what_the_application_puts_in_the_place_of_the_second_socket_stops_nothing(host: Host, tmp_path: Path) -> None:
    site, old = host.traffic(), speaking(host, OLD, running=True)
    site.socket(OLD).with_suffix(".uwsgi").mkdir()
    site.retire([old], 0)
    (tmp_path / "precious").write_text("kept")
    site.socket(OLD).with_suffix(".uwsgi").rmdir()
    site.socket(OLD).with_suffix(".uwsgi").symlink_to(tmp_path / "precious")
    site.retire([old], 0)
    assert (tmp_path / "precious").read_text() == "kept"
    assert asked(old) == ["stop", "stop"]


# --- What is refused


def test_the_site_s_file_says_what_the_edge_speaks(host: Host) -> None:
    assert not protocol.speaks_uwsgi([str(host.folder / "site.conf")], host.run)
    assert not protocol.speaks_uwsgi(edge(host, "app.sock"), host.run)
    assert protocol.speaks_uwsgi(edge(host, "app.uwsgi"), host.run)
    assert not protocol.speaks_uwsgi(edge(host, "app.uwsgi"), "/run/neighbour")


def test_a_release_that_the_edge_cannot_speak_to_is_not_started_and_stays_good(
    host: Host, run_module: RunModule
) -> None:
    release, sites = host.release(OLD, activated=1), edge(host, "app.uwsgi")
    Deploy(host.home, "a").ask({"who": "ada", "host": "desk", "verb": "rollback"})
    health = {"health_path": "/", "health_host": "site.test", "health_timeout": 0}
    result = run_module(release_start.main, **host.instances(), id=OLD, lock="a", edge_sites=sites, undo=True, **health)
    assert result["msg"].startswith(
        f"edge_upstream_protocol: the edge of this host speaks uwsgi to the application, and the release {OLD} speaks HTTP alone"
    )
    assert (
        f"run site.yml, which makes the change; then go back to it: rollback.yml -e app_release={OLD}" in result["msg"]
    )
    assert asked(release) == []
    assert release.good


def test_every_other_release_is_started(host: Host, monkeypatch: pytest.MonkeyPatch, run_module: RunModule) -> None:
    started: list[str] = []
    monkeypatch.setattr(release_start, "start", lambda _traffic, release, _check, undo: started.append(release.id))
    Deploy(host.home, "a").ask({"who": "ada", "host": "desk", "verb": "deploy"})
    host.release(OLD)
    speaking(host, NEW)
    health = {"health_path": "/", "health_host": "site.test", "health_timeout": 0}
    for release_id, name in (OLD, "app.sock"), (NEW, "app.sock"), (NEW, "app.uwsgi"):
        sites = edge(host, name)
        run_module(release_start.main, **host.instances(), id=release_id, lock="a", edge_sites=sites, **health)
    assert started == [OLD, NEW, NEW]
