"""The modules that call the engine: what they return, what a dry run leaves alone, and how they fail."""

from __future__ import annotations

import base64
import errno
import os
from collections.abc import Callable
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.flask.plugins.module_utils.engine import files
from ansible_collections.slipway.flask.plugins.module_utils.engine.errors import ReleaseError
from ansible_collections.slipway.flask.plugins.module_utils.engine.lock import Deploy
from ansible_collections.slipway.flask.plugins.module_utils.engine.module import HOME, STEP, errors_of, step
from ansible_collections.slipway.flask.plugins.modules import (
    release_activate,
    release_finish,
    release_prestart,
    release_remove,
    release_select,
    release_start,
    release_status,
    take_lock,
    write_files,
)

from engine.host import GROUP, NEW, OLD, USER, Host, RunModule, asked

ADA = {"who": "ada", "host": "desk", "verb": "deploy", "source": "v1"}


@pytest.fixture
def lock(host: Host) -> str:
    """Take the lock; return what the steps of the deploy give."""
    Deploy(host.home, "a").ask(ADA)
    return "a"


def failing(error: Exception) -> Callable[[], None]:
    """Return a module's main() that does one step, which fails."""

    def main() -> None:
        module = AnsibleModule({**HOME, **STEP})
        with step(module):
            raise error

    return main


def test_what_the_engine_says_is_what_the_module_says(host: Host, lock: str, run_module: RunModule) -> None:
    result = run_module(failing(ReleaseError("app_source: no\nwhy")), home=str(host.home), lock=lock)
    assert (result["failed"], result["msg"]) == (True, "app_source: no\nwhy")
    assert Deploy(host.home, lock).holder["reason"] == "app_source: no"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_as_such(host: Host, lock: str, run_module: RunModule, number: int) -> None:
    result = run_module(failing(OSError(number, os.strerror(number))), home=str(host.home), lock=lock)
    assert result["msg"].startswith(f"The disk of {host.home} is full;")


def test_an_error_that_nobody_thought_of_is_a_traceback(host: Host, lock: str, run_module: RunModule) -> None:
    with pytest.raises(PermissionError):
        run_module(failing(PermissionError(errno.EPERM, "no")), home=str(host.home), lock=lock)


def test_a_step_of_a_deploy_whose_lock_was_broken_is_refused(host: Host, lock: str, run_module: RunModule) -> None:
    Deploy(host.home, "b").ask({**ADA, "who": "bob"}, force=True)
    result = run_module(failing(ReleaseError("")), home=str(host.home), lock=lock)
    assert result["msg"].startswith("app_lock_break: this deploy's lock was broken by bob from desk.")


def test_errors_outside_of_a_step_are_said_too(host: Host, run_module: RunModule) -> None:
    def main() -> None:
        with errors_of(AnsibleModule(dict(HOME))):
            raise ReleaseError("app_release: no")

    assert run_module(main, home=str(host.home))["msg"] == "app_release: no"


def test_the_lock_is_taken_or_its_holder_returned(host: Host, run_module: RunModule) -> None:
    def held(**asks: object) -> Any:
        return run_module(take_lock.main, home=str(host.home), asks={"holder": ADA, **asks}).get("held")

    assert held(run="a") is None
    assert held(run="b")["run"] == "a"
    assert held(run="b", instead_of="a") is None
    assert held(run="c", force=True) is None
    assert Deploy(host.home, "c").ours


def test_a_host_without_the_application_has_no_lock(host: Host, run_module: RunModule) -> None:
    (host.home / "releases").rmdir()
    result = run_module(take_lock.main, home=str(host.home), asks={"run": "a", "holder": ADA})
    assert result["msg"].startswith(f"app_name: this host has no application of that name ({host.home}/releases")


def test_a_release_is_chosen_and_a_dry_run_needs_no_lock(host: Host, lock: str, run_module: RunModule) -> None:
    host.release(OLD, activated=1, source="v0")
    home = str(host.home)
    assert run_module(release_select.main, check=True, home=home)["id"] == OLD
    assert Deploy(host.home, lock).holder["source"] == "v1"
    assert run_module(release_select.main, home=home, asks={"run": "b", "holder": ADA})["held"]["run"] == lock
    assert run_module(release_select.main, home=home, asks={"run": lock, "holder": ADA})["id"] == OLD
    assert Deploy(host.home, lock).holder["source"] == "v0"
    assert "is not a release id" in run_module(release_select.main, check=True, home=home, id="v0")["msg"]


def test_prestart_runs_once_and_not_in_a_dry_run(host: Host, lock: str, run_module: RunModule) -> None:
    run = host.release(NEW).path / "bin/run"
    run.write_text('#!/bin/sh\nexec "$@"\n')
    run.chmod(0o755)
    work = {"home": str(host.home), "id": NEW, "user": USER, "sandbox": {}, "commands": ["echo hello"], "timeout": 60}
    work |= {"lock": lock}
    dry = run_module(release_prestart.main, check=True, **work)
    assert (dry["changed"], dry["output"], host.told("systemd-run")) == (True, [], [])
    first, second = (run_module(release_prestart.main, **work) for _ in range(2))
    assert (first["changed"], first["output"], first["exported"]) == (True, ["echo hello:\nhello"], False)
    assert (second["changed"], second["output"]) == (False, [])
    assert Deploy(host.home, lock).holder["step"] == "prestart"


def test_a_gate_that_stays_shut_fails_the_module(host: Host, lock: str, run_module: RunModule) -> None:
    release = host.release(NEW)
    gate = {
        **host.instances(),
        "id": NEW,
        "health_path": "/",
        "health_host": "site.test",
        "health_timeout": 0,
        "lock": lock,
    }
    assert run_module(release_start.main, check=True, **gate)["changed"] is True
    assert asked(release) == []
    assert run_module(release_start.main, **gate)["msg"].startswith(
        f"app_health_path: the release {NEW} did not come up"
    )
    assert Deploy(host.home, lock).holder["outcome"] == "failed"


def test_a_release_gets_the_traffic_and_the_deploy_is_logged(host: Host, lock: str, run_module: RunModule) -> None:
    old, new = host.release(OLD, running=True, activated=1), host.release(NEW, running=True)
    host.traffic().give(old)
    move = {**host.instances(), "id": NEW, "drain_timeout": 0, "keep": 5, "lock": lock}
    assert run_module(release_activate.main, check=True, **move)["changed"] is True
    assert host.traffic().active == OLD
    result = run_module(release_activate.main, **move)
    assert (result["previous"], host.traffic().active, asked(old)) == (OLD, NEW, ["stop"])
    finish = {**host.instances(), "drain_timeout": 0, "keep": 5, "lock": lock}
    for _ in range(2):  # the second time the lock is not this deploy's any more
        assert run_module(release_finish.main, **finish)["changed"] is False
    assert [(entry["id"], entry["outcome"]) for entry in host.logged()] == [(NEW, "activated")]
    assert "stop" not in asked(new)
    files.remove(host.home)
    run_module(release_finish.main, **finish)


def test_alone_a_release_is_switched_and_the_deploy_ended_in_one_step(
    host: Host, lock: str, run_module: RunModule
) -> None:
    """The lock is given back by it."""
    old, new = host.release(OLD, running=True, activated=1), host.release(NEW, running=True)
    host.traffic().give(old)
    switch = {**host.instances(), "id": NEW, "drain_timeout": 0, "keep": 5, "alone": True, "lock": lock}
    assert run_module(release_activate.main, check=True, **switch)["changed"] is True
    assert host.traffic().active == OLD
    result = run_module(release_activate.main, **switch)
    assert (result["changed"], result["previous"]) == (True, OLD)
    assert (host.traffic().active, asked(old), "stop" in asked(new)) == (NEW, ["stop"], False)
    assert [(entry["id"], entry["outcome"]) for entry in host.logged()] == [(NEW, "activated")]
    assert not (host.home / "deploy.lock").exists()


def test_an_application_is_removed_once(host: Host, lock: str, run_module: RunModule) -> None:
    host.release(OLD, running=True)
    (host.home / "secret_key").touch()
    removal = {
        "home": str(host.home),
        "run": str(host.run),
        "name": "site",
        "user": "site",
        "kept": str(host.folder / "kept"),
        "lock": lock,
    }
    dry = run_module(release_remove.main, check=True, **removal)
    assert (dry["changed"], dry["kept"], host.home.exists()) == (True, ["secret_key"], True)
    done = run_module(release_remove.main, **removal)
    assert (done["changed"], done["kept"], host.home.exists()) == (True, ["secret_key"], False)
    again = run_module(release_remove.main, **removal)
    assert (again["changed"], again["kept"]) == (False, [])


def test_how_an_application_is_needs_no_lock(host: Host, run_module: RunModule) -> None:
    host.release(OLD, activated=1)
    result = run_module(release_status.main, home=str(host.home), name="site")
    assert [one["id"] for one in result["status"]["releases"]] == [OLD]


def test_files_are_written_all_or_none(host: Host, run_module: RunModule) -> None:
    def write(serve: str, **more: object) -> dict[str, Any]:
        named = {"bin/serve": {"content": serve, "mode": "0750", "validate": "sh -n %s"}, "env": {"content": "A=1\n"}}
        listed = [
            {"dest": name, **file, "content": base64.b64encode(file["content"].encode()).decode()}
            for name, file in named.items()
        ]
        return run_module(write_files.main, dest=str(host.home / "next"), group=GROUP, files=listed, **more)

    assert write("if true\n")["msg"].startswith("bin/serve was not written: ")
    assert [path.name for path in (host.home / "next").rglob("*")] == ["bin"]
    assert write("true\n", check=True)["files"] == ["bin/serve", "env"]
    assert [path.name for path in (host.home / "next").rglob("*")] == ["bin"]
    assert write("true\n")["files"] == ["bin/serve", "env"]
    assert (host.home / "next/bin/serve").stat().st_mode & 0o7777 == 0o750
    assert (host.home / "next/env").stat().st_mode & 0o7777 == 0o640
    assert write("true\n")["changed"] is False
    assert write("false\n")["files"] == ["bin/serve"]
