"""Which instance has the traffic, and which others still run."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from types import SimpleNamespace

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


def test_systemd_reads_the_mount_of_the_instances_again_only_where_it_changed(host: Host) -> None:
    site = host.traffic()
    site.folder.mount()
    (unit,) = host.units.iterdir()
    assert unit.name == f"{str(host.run).strip('/').replace('/', '-')}-instances.mount"
    assert f"\nWhere={host.run}/instances\n" in unit.read_text()
    assert f"uid={os.getuid()},gid={os.getgid()},nosuid,nodev,noexec,nosymfollow\n" in unit.read_text()
    mount = f"enable --quiet --now {unit.name}"
    assert host.told("systemctl") == ["daemon-reload", mount]
    site.folder.mount()
    assert host.told("systemctl") == ["daemon-reload", mount, mount]
    unit.write_text("[Mount]\n")
    site.folder.mount()
    assert host.told("systemctl")[3:] == ["daemon-reload", mount]


def test_the_mount_of_the_instances_is_taken_away_once(host: Host) -> None:
    site = host.traffic()
    site.folder.mount()
    name = site.folder.mount_unit.name
    for _ in range(2):
        site.folder.remove()
    assert not site.folder.mount_unit.exists()
    assert host.told("systemctl")[2:] == [f"disable --quiet --now {name}", "daemon-reload"]
