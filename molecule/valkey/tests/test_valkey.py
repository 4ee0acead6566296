"""What the role valkey promises, asked of the running system."""

from __future__ import annotations

import functools
import shlex
import subprocess
from collections.abc import Callable, Iterator

import pytest
from testinfra.host import Host

import probe
from probe import said, until

LOG_UNITS = "*-server@*"
PLAY = probe.ROOT / "molecule/valkey/converge.yml"
# As the services of an application run (roles/systemd), as far as it could keep them from a socket.
WORKER = (
    "systemd-run --quiet --collect --unit=jobs-{0} --uid=queue --gid=queue --working-directory=/opt/jobs "
    "--property=ProtectSystem=strict --property=ReadOnlyPaths=/run --property=PrivateUsers=yes "
    "--setenv=REDIS_URL=unix:///run/valkey-queue/valkey.sock --setenv=HOME=/nonexistent /opt/jobs/bin/{1}"
)
WORKERS = {
    "celery": "celery --app=jobs worker --pool=solo",
    "rq": "rq worker --url=unix:///run/valkey-queue/valkey.sock",
}

Play = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def play(host: Host) -> Iterator[Play]:
    """Run the scenario's play again for this server; in the end as it was."""
    again = functools.partial(probe.play, PLAY, "--limit", host.backend.host)
    yield again
    assert again().returncode == 0


def ask(host: Host, name: str, *command: str, user: str = "") -> str:
    """Return what an instance answers to its application, or to another user."""
    client = host.check_output("command -v valkey-cli || command -v redis-cli")
    argv = ["runuser", f"--user={user or name}", "--", client, "-s", f"/run/valkey-{name}/valkey.sock", *command]
    result = host.run(shlex.join(argv))
    return str(result.stdout + result.stderr).strip()


def answers(host: Host, name: str) -> bool:
    """Whether an instance answers."""
    return ask(host, name, "PING") == "PONG"


def process(host: Host, name: str) -> tuple[str, str]:
    """Return the process and the user of an instance."""
    pid, user = host.check_output(f"ps -o pid=,uid= -p $(pgrep -f '[-]server unixsocket:/run/valkey-{name}/')").split()
    return pid, user


@pytest.mark.after_reboot
def test_an_instance_answers_its_application_and_no_other(host: Host) -> None:
    for name, other in (("queue", "cache"), ("cache", "queue")):
        until(lambda name=name: answers(host, name), "the instance answers")  # type: ignore[misc]
        for user in (other, "nobody"):
            assert "Permission denied" in ask(host, name, "PING", user=user)


def test_instances_do_not_share_a_user(host: Host) -> None:
    assert process(host, "queue")[1] != process(host, "cache")[1]


@pytest.mark.after_reboot
def test_nothing_listens_on_the_network(host: Host) -> None:
    assert host.check_output("ss --no-header --listening --tcp --numeric | awk '$4 !~ /:22$/'") == ""
    assert host.run("systemctl is-active valkey-server redis-server").stdout.split() == ["inactive"] * 2


@pytest.mark.parametrize(
    "command", ["CONFIG SET maxmemory 0", "ACL SETUSER default +@all", "SHUTDOWN", "REPLICAOF ::1 1"]
)
def test_an_application_changes_neither_bounds_nor_files(host: Host, command: str) -> None:
    assert "NOPERM" in ask(host, "queue", *command.split())


def test_a_full_queue_refuses_and_a_full_cache_drops(host: Host) -> None:
    fill = "for i = 1, {} do redis.call('SET', 'fill' .. i, string.rep('x', 1000000)) end return 'all'"
    assert ask(host, "cache", "EVAL", fill.format(16), "0") == "all"
    assert int(ask(host, "cache", "DBSIZE")) < 10
    ask(host, "queue", "EVAL", fill.format(70), "0")  # a script that has begun is not stopped
    refused = ask(host, "queue", "SET", "job", "1")
    ask(host, "queue", "FLUSHALL")
    assert refused.startswith("OOM")


def test_a_killed_queue_comes_back_with_what_it_had(host: Host) -> None:
    ask(host, "queue", "SET", "job", "1")
    ask(host, "cache", "SET", "page", "1")
    host.check_output("sync; sleep 2")  # appendfsync everysec, the documented second
    for name in ("queue", "cache"):
        before = process(host, name)[0]
        host.check_output(f"kill -9 {before}")
        until(lambda name=name: answers(host, name), "it comes back")  # type: ignore[misc]
    assert ask(host, "queue", "GET", "job") == "1"
    assert ask(host, "cache", "GET", "page") == ""


@pytest.mark.parametrize("kind", WORKERS)
def test_a_worker_gets_its_job(host: Host, kind: str) -> None:
    host.check_output(WORKER.format(kind, WORKERS[kind]))
    try:
        put = WORKER.format(f"{kind}-put", f"python jobs.py {kind}").replace("--collect", "--collect --wait --pipe")
        assert host.check_output(f"timeout 90 {put}") == "42"
    finally:
        host.run(f"systemctl kill --signal=KILL jobs-{kind}")


@pytest.mark.one_debian
def test_snapshots_outlive_a_restart(host: Host, play: Play) -> None:
    assert play(queue_persistence="rdb").returncode == 0
    ask(host, "queue", "SET", "job", "2")
    host.check_output("systemctl restart '*-server@queue.service'")
    assert ask(host, "queue", "GET", "job") == "2"
    # And what came after the last one does not outlive a crash, as it would in a file that is appended to.
    ask(host, "queue", "SET", "job", "lost")
    host.check_output("kill -9 %s", process(host, "queue")[0])
    until(lambda: answers(host, "queue"), "it comes back")
    assert ask(host, "queue", "GET", "job") == "2"


def test_the_next_run_finishes_one_that_was_cut_off(host: Host, play: Play) -> None:
    # After an upgrade of Debian the other program's unit is still there, and a run ended between files and restart.
    other = "redis" if "valkey" in host.check_output("ls -d /etc/systemd/system/*-server@queue.service.d") else "valkey"
    host.check_output(f"mkdir /etc/systemd/system/{other}-server@queue.service.d")
    before = process(host, "queue")[0]
    host.check_output("touch /etc/slipway/valkey/queue.conf")
    result = play()
    assert result.returncode == 0, said(result)
    assert process(host, "queue")[0] != before
    assert not host.file(f"/etc/systemd/system/{other}-server@queue.service.d").exists
    assert "changed=0" in said(play())


@pytest.mark.one_debian
def test_what_is_disabled_is_gone_but_for_its_data(host: Host, play: Play) -> None:
    host.check_output("rm -rf /var/backups/slipway")
    ask(host, "queue", "SET", "job", "3")
    result = play(queue_enabled=False)
    assert result.returncode == 0, said(result)
    found = host.check_output(
        "find /etc /run /var/lib /var/backups -path '/run/user' -prune -o \\( -name '*valkey-queue*' -o -name '*-server@queue*' "
        "-o -path '*/slipway/valkey/queue*' -o -name 'queue-valkey-*' \\) -print"
    ).split()
    assert len(found) == 1
    assert found[0].startswith("/var/backups/slipway/queue-valkey-")
    assert host.file(found[0]).user == "root"
    assert host.file(found[0]).mode == 0o700
    assert answers(host, "cache")
    again = play(queue_enabled=False)
    assert "changed=0" in said(again)
