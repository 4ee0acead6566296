"""A command runs as a service of systemd: what it is told, what is said of its end, and what is left of it."""

from __future__ import annotations

import os

import pytest
from ansible_collections.slipway.flask.plugins.module_utils.engine import sandbox

from engine.host import PATIENCE_SECONDS, Host


def run(host: Host, script: str, *words: str, seconds: float = PATIENCE_SECONDS, **environment: str) -> tuple[int, str]:
    return sandbox.run(
        "site-check",
        ["sh", "-c", script, *words],
        user="site",
        cwd=host.folder,
        directives={"PrivateTmp": True, "User": "other"},
        seconds=seconds,
        environment=environment,
    )


def test_a_command_s_code_and_both_its_streams_are_returned(host: Host) -> None:
    assert run(host, 'pwd; echo "$0 $1" >&2; exit 3', "$HOME", "a b") == (3, f"{host.folder}\n$HOME a b\n")


def test_systemd_is_told_the_sandbox_and_an_end(host: Host) -> None:
    run(host, "true", seconds=5)
    options = host.told("systemd-run")[0].partition(" -- ")[0].split()
    assert {"--wait", "--pipe", "--unit=site-check", "--property=Group=site", "--property=PrivateTmp=True"} <= {
        *options
    }
    assert "--property=User=other" in options  # a directive of the caller's wins
    assert "--property=User=site" not in options
    assert f"--property=RuntimeMaxSec={5 + sandbox.STOP_SECONDS}" in options


def test_variables_reach_the_command_and_nobody_else(host: Host) -> None:
    """A file that is root's alone, for as long as the command runs; not what ps or D-Bus shows."""
    secret = 'a "b" $c `d` \\e'
    status, output = run(host, f'printf "%s\\n" "$SECRET"; stat -c %a {host.system}/*.env', SECRET=secret)
    assert (status, output.splitlines()) == (0, [secret, "600"])
    assert not any(secret in told for told in host.told("systemd-run"))
    assert not list(host.system.glob("*.env"))


def test_variables_that_a_killed_deploy_left_are_not_read(host: Host) -> None:
    left = host.system / "slipway-site-check.env"
    left.write_text('KEY="left over"\n')
    left.chmod(0o644)
    assert run(host, "echo ${KEY:-none}") == (0, "none\n")
    assert not left.exists()


def test_a_service_that_a_killed_deploy_left_is_stopped_first(host: Host) -> None:
    transient = host.system / "systemd/transient/site-check.service"
    transient.parent.mkdir()
    transient.touch()
    host.program("systemctl", f"rm -f {transient}")
    assert run(host, "true")[0] == 0
    assert host.told("systemctl") == ["stop site-check", "reset-failed site-check"]


def test_a_command_that_takes_too_long_is_stopped(host: Host) -> None:
    """Here it ends when systemctl is told so a second time: the first is for what a killed deploy left."""
    transient, stops = host.system / "systemd/transient/site-check.service", host.folder / "stops"
    transient.parent.mkdir()
    transient.touch()
    host.program("systemctl", f"[ $1 != stop ] || echo >> {stops}")
    script = f'until [ "$(wc -l < {stops})" -ge 2 ]; do sleep 0.05; done'
    assert run(host, script, seconds=1) == (124, "\nstopped after 1 seconds")
    assert host.told("systemctl") == ["stop site-check", "reset-failed site-check"] * 2


@pytest.mark.parametrize(
    ("result", "words"),
    [("oom-kill", "the kernel killed it: out of memory"), ("timeout", "it was stopped: it took too long")],
)
def test_where_systemd_alone_knows_why_a_command_ended_it_is_said(host: Host, result: str, words: str) -> None:
    host.program("systemctl", f"echo {result}")
    assert run(host, "echo working; exit 9") == (9, f"working\n\n{words}")
    host.program("systemctl", "echo exit-code")
    assert run(host, "echo working; exit 9") == (9, "working\n")


def test_a_systemd_that_is_missing_leaves_no_secrets(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    (host.programs / "systemd-run").unlink()
    monkeypatch.setenv("PATH", str(host.programs))
    with pytest.raises(FileNotFoundError):
        run(host, "true", SECRET="s")
    assert not list(host.system.glob("*.env"))


def test_a_process_that_dies_before_it_answers_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="it ended before its time"):
        sandbox.act_as("nobody", lambda: os._exit(1))
