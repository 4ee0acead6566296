"""Which instance has the traffic, and which others still run."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.slipway.flask.plugins.module_utils.engine import files, record, traffic

from engine.host import GROUP, NEW, OLD, OTHER, PATIENCE_SECONDS, USER, Host, asked


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


def test_an_instance_is_stopped_when_nobody_talks_to_it_any_more(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    site, old = host.traffic(), host.release(OLD, running=True)
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as visitor:
        server.bind(str(site.socket(OLD)))
        server.listen()
        visitor.connect(str(site.socket(OLD)))

        def leave(_: float) -> None:
            """Leave while the instance is waited for."""
            assert asked(old) == []
            assert [one.id for one in site.others(NEW)] == [OLD]
            visitor.close()
            server.accept()[0].close()

        monkeypatch.setattr(traffic, "time", SimpleNamespace(monotonic=time.monotonic, sleep=leave))
        site.retire([old], PATIENCE_SECONDS)
    assert asked(old) == ["stop"]
    assert old.record["running"] is False
    assert not site.socket(OLD).exists()
    assert site.others(NEW) == []


def test_connections_that_do_not_end_are_cut(host: Host) -> None:
    site, old = host.traffic(), host.release(OLD, running=True)
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as visitor:
        server.bind(str(site.socket(OLD)))
        server.listen()
        visitor.connect(str(site.socket(OLD)))
        assert site.retire([old], 0) >= 0
        assert traffic.connections(site.socket(OLD)) == 1
    assert asked(old) == [f"stop {traffic.LAST_SECONDS}"]


def test_what_runs_beside_the_wanted_release_is_known_by_its_record_or_its_socket(host: Host) -> None:
    """A crash can come between the two."""
    site = host.traffic()
    host.release(OLD, running=True)
    host.release(NEW)
    host.release(OTHER)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(site.socket(NEW)))
        assert {one.id for one in site.others()} == {OLD, NEW}
        assert {one.id for one in site.others(OLD)} == {NEW}


def test_the_traffic_is_moved_and_the_release_that_had_it_is_remembered(host: Host) -> None:
    site = host.traffic()
    assert (site.active, site.answering) == ("", "")
    assert site.give(host.release(OLD)) == ""
    assert site.active == OLD
    assert site.give(host.release(NEW)) == OLD
    assert (site.active, files.linked(host.home / "previous")) == (NEW, OLD)
    assert (host.run / "app.sock").readlink() == Path(f"instances/{NEW}.sock")
    assert site.give(record.Release(host.home, NEW)) == ""  # once more: the previous one stays what it was
    assert files.linked(host.home / "previous") == OLD


def test_a_switch_that_was_cut_off_is_nobody_s_traffic(host: Host) -> None:
    """The static files are one release's, the pages still the other's."""
    site = host.traffic()
    site.give(host.release(OLD))
    files.link(f"releases/{NEW}", host.home / "current")
    assert (site.active, site.answering) == ("", OLD)


def test_the_sockets_folder_is_made_again_at_each_boot(host: Host) -> None:
    site = host.traffic()
    site.make_run_folder("")
    assert (host.tmpfiles / "slipway-site.conf").read_text().splitlines()[1:] == [f"d {host.run} 0755 root root -"]
    site.make_run_folder(NEW)
    assert (host.tmpfiles / "slipway-site.conf").read_text().splitlines()[1:] == [
        f"d {host.run} 0755 root root -",
        f"L+ {host.run}/app.sock - - - - instances/{NEW}.sock",
    ]
    assert host.told("systemd-tmpfiles") == [f"--create {host.tmpfiles}/slipway-site.conf"] * 2


def test_an_instance_of_an_earlier_version_keeps_its_socket_where_it_is(host: Host) -> None:
    """It lies a folder higher, in a folder that is the application's."""
    site = host.traffic()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(host.run / f"{OLD}.sock"))
        assert site.socket(OLD) == host.run / f"{OLD}.sock"
        site.make_run_folder(OLD)
    assert (host.tmpfiles / "slipway-site.conf").read_text().splitlines()[1:] == [
        f"d {host.run} 0750 {USER} {GROUP} -",
        f"L+ {host.run}/app.sock - - - - {OLD}.sock",
    ]


def test_systemd_reads_the_units_of_the_folder_again_only_where_they_changed(host: Host) -> None:
    site = host.traffic()
    site.folder.mount()
    unit, watch, repair = site.folder.mount_unit, site.folder.watch, site.folder.repair
    assert sorted(host.units.iterdir()) == sorted([unit, watch, repair])
    assert unit.name == f"{str(host.run).strip('/').replace('/', '-')}-instances.mount"
    assert f"\nWhere={host.run}/instances\n" in unit.read_text()
    assert f"uid={os.getuid()},gid={os.getgid()},nosuid,nodev,noexec,nosymfollow\n" in unit.read_text()
    assert f"\nPathChanged={host.run}\n" in watch.read_text()
    start = f"enable --quiet --now {unit.name} slipway-site-sockets.path"
    assert host.told("systemctl") == ["daemon-reload", start]
    site.folder.mount()
    assert host.told("systemctl") == ["daemon-reload", start] * 2
    for changed in (unit, watch, repair):
        before = host.told("systemctl")
        changed.write_text("[Unit]\n")
        site.folder.mount()
        assert host.told("systemctl")[len(before) :] == ["daemon-reload", start]


def test_a_watch_that_a_run_has_written_and_not_started_is_started_by_the_next(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = host.traffic()
    site.folder.mount()
    monkeypatch.setattr(os.path, "ismount", lambda _: True)
    before = host.told("systemctl")
    site.folder.mount()
    assert host.told("systemctl") == before * 2
    (host.units / "paths.target.wants").mkdir()
    (host.units / "paths.target.wants" / site.folder.watch.name).symlink_to(site.folder.watch)
    site.folder.mount()
    assert host.told("systemctl") == before * 2


def test_the_units_of_the_folder_are_taken_away_once(host: Host) -> None:
    site = host.traffic()
    site.folder.mount()
    for _ in range(2):
        site.folder.remove()
    assert list(host.units.iterdir()) == []
    units = f"slipway-site-sockets.path slipway-site-sockets.service {site.folder.mount_unit.name}"
    assert host.told("systemctl")[2:] == [f"disable --quiet --now {units}", "daemon-reload"]


def commands(unit: Path, directive: str) -> list[list[str]]:
    """Return what a unit runs for one of its directives, each command in words."""
    lines = [line.partition("=") for line in unit.read_text().splitlines()]
    return [shlex.split(command) for name, _, command in lines if name == directive]


def is_missed(site: traffic.Traffic) -> bool:
    """Whether the sockets' folder would be made again, which is the last condition; the last command asks for the opposite."""
    site.folder.mount()
    missed, whole = (
        subprocess.run(commands(site.folder.repair, directive)[-1], capture_output=True, text=True, check=False)
        for directive in ("ExecCondition", "ExecStart")
    )
    assert (missed.returncode == 0) == (whole.returncode != 0)
    return missed.returncode == 0


def test_a_folder_that_a_deploy_changes_is_not_made_again(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The web server would be restarted, and lose requests. It is asked at each step of a switch."""
    site, wrong = host.traffic(), []

    def asked_before(step: Callable[..., None]) -> Callable[..., None]:
        def ask(*given: Any, **named: Any) -> None:
            wrong.extend([given] if is_missed(site) else [])
            step(*given, **named)

        return ask

    assert not is_missed(site)  # there was no activation yet
    monkeypatch.setattr(traffic, "link", asked_before(files.link))
    monkeypatch.setattr(Path, "unlink", asked_before(Path.unlink))
    for release_id, serve in ((OLD, "--socket $1.uwsgi"), (NEW, ""), (OTHER, "--socket $1.uwsgi")):
        release = host.release(release_id)
        (release.path / "bin/serve").write_text(serve)
        site.give(release)
        assert not is_missed(site)
    assert wrong == []
    site.folder.tmpfiles.unlink()
    assert not is_missed(site)  # it is being removed


@pytest.mark.parametrize("removed", ["app.sock", "app.uwsgi", "switch", "."])
def test_a_folder_that_misses_a_link_is_made_again(host: Host, removed: str) -> None:
    site, release = host.traffic(), host.release(OLD)
    (release.path / "bin/serve").write_text("--socket $1.uwsgi")
    site.give(release)
    subprocess.run(
        ["rm", "-r", host.run / removed] if removed != "." else ["mv", host.run, host.folder / "x"], check=True
    )
    assert is_missed(site)
    assert commands(site.folder.repair, "ExecStart")[:-1] == [
        ["/usr/bin/systemctl", "start", site.folder.mount_unit.name],
        ["/usr/bin/systemd-tmpfiles", "--create", str(site.folder.tmpfiles)],
        [f"{host.home}/current/bin/instance", "restart"],
    ]
