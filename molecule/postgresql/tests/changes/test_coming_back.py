"""PostgreSQL comes back by itself, unless it was stopped by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from testinfra.host import Host

from probe import until

POSTMASTER = "head -n 1 /var/lib/postgresql/*/main/postmaster.pid"
UNIT = "$(systemctl list-units --plain --no-legend 'postgresql@*' | cut -d' ' -f1)"


def answers(host: Host) -> bool:
    """Whether the server is up, to systemd too, which waits a moment longer."""
    return host.run(f"pg_isready --quiet && systemctl is-active --quiet {UNIT}").succeeded


def test_a_killed_server_is_back(server: Host, started: Callable[[], str]) -> None:
    before = started()
    server.check_output(f"kill -KILL $({POSTMASTER})")
    until(lambda: answers(server) and started() != before, "another runs")


def test_a_server_that_was_stopped_by_hand_stays_so(server: Host) -> None:
    """As its own user; for root pg_ctlcluster asks systemd."""
    unit = server.check_output(f"echo {UNIT}")
    version = unit.removeprefix("postgresql@").partition("-")[0]
    server.check_output(f"cd / && sudo --user=postgres pg_ctlcluster {version} main stop")
    try:
        until(lambda: server.run("systemctl is-active %s", unit).stdout.strip() == "inactive", "systemd leaves it")
    finally:
        server.check_output("systemctl start %s", unit)
    until(lambda: answers(server), "it runs again")


@pytest.fixture
def ballast(server: Host) -> Iterator[str]:
    """A small disk for the WAL, for the length of a test; the path of a file that fills it."""
    unit, wal = server.check_output(f"echo {UNIT}"), server.check_output("ls -d /var/lib/postgresql/*/main/pg_wal")
    server.check_output(
        f"systemctl stop {unit} && mkdir -p /mnt/wal && "
        f"mount -t tmpfs -o size=$(($(du -sm {wal} | cut -f1) + 40))m,uid=$(id -u postgres),mode=0700 tmpfs /mnt/wal && "
        f"cp -a {wal}/. /mnt/wal && mount --bind /mnt/wal {wal} && systemctl start {unit}"
    )
    try:
        yield "/mnt/wal/ballast"
    finally:
        server.check_output(
            f"rm -f /mnt/wal/ballast; systemctl stop {unit} && umount {wal} && find {wal} -mindepth 1 -delete && "
            f"cp -a /mnt/wal/. {wal} && umount /mnt/wal && rmdir /mnt/wal && systemctl start {unit}"
        )


def test_a_server_whose_disk_was_full_is_back_once_it_has_room(server: Host, ballast: str) -> None:
    server.check_output(f"fallocate --length $(df --output=avail --block-size=1 /mnt/wal | tail -n 1) {ballast}")
    fill = "CREATE TABLE ballast AS SELECT repeat(md5(i::text), 20) FROM generate_series(1, 100000) i"
    assert server.run(f"cd / && sudo --user=postgres psql --command='{fill}'").failed
    restarts = f"systemctl show --property=NRestarts --value {UNIT}"
    until(lambda: int(server.check_output(restarts)) >= 2, "it was tried more than once")
    assert server.run("pg_isready --quiet").failed
    server.check_output(f"rm {ballast}")
    until(lambda: answers(server), "it is back")
