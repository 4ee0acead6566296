"""Which instance has the traffic, and which others still run."""

from __future__ import annotations

import socket
from pathlib import Path

from ansible_collections.slipway.flask.plugins.module_utils.engine import record, traffic


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
