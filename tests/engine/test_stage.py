"""Staging: the lock first, all files or none, and whether anything is left to do."""

from __future__ import annotations

import base64
import dataclasses
from typing import Any

import pytest
from ansible_collections.slipway.flask.plugins.module_utils.engine.gate import State
from ansible_collections.slipway.flask.plugins.module_utils.engine.lock import Deploy
from ansible_collections.slipway.flask.plugins.module_utils.engine.plan import interpreter
from ansible_collections.slipway.flask.plugins.module_utils.engine.record import Release
from ansible_collections.slipway.flask.plugins.modules import release_stage

from engine.host import GROUP, PLAN, Host, RunModule

ADA = {"who": "ada", "host": "desk", "verb": "deploy"}


class Stage:
    """What a deploy stages, with one file that a test may change. settled: what the release with the traffic answers."""

    def __init__(self, host: Host, run_module: RunModule, monkeypatch: pytest.MonkeyPatch) -> None:
        self.host, self.run_module, self.settled = host, run_module, True
        monkeypatch.setattr(release_stage, "look", lambda *_: State(self.settled, self.settled))
        # The tests are not root: the owner differs each time.
        monkeypatch.setattr("os.chown", lambda *_: None)
        self.plan = {key: value for key, value in dataclasses.asdict(PLAN).items() if key != "home"}

    def run(self, content: str = "A=1\n", *, check: bool = False, run: str = "a", **more: Any) -> dict[str, Any]:
        """Stage one file; return what the module does."""
        asks = {} if check else {"asks": {"run": run, "holder": ADA}}
        file = {"dest": "env", "content": base64.b64encode(content.encode()).decode(), "secret": True}
        arguments: dict[str, Any] = {
            **self.host.instances(),
            "group": GROUP,
            "plan": self.plan,
            "files": [file],
            **asks,
        }
        arguments |= {
            "health_path": "/",
            "health_host": "site.test",
            "health_timeout": 0,
            "drain_timeout": 0,
            "keep": 5,
        }
        return self.run_module(release_stage.main, check=check, **{**arguments, **more})

    def built(self, **facts: object) -> None:
        """Make what is staged a release."""
        plan = dataclasses.replace(PLAN, home=str(self.host.home), python=interpreter(PLAN.python))
        path = Release(self.host.home, plan.id).path
        path.mkdir(parents=True)
        Release(self.host.home, plan.id).note(state="built", **facts)


@pytest.fixture
def stage(host: Host, run_module: RunModule, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Return a stage without files."""
    return Stage(host, run_module, monkeypatch)


def test_nothing_is_written_while_another_deploy_has_the_lock(stage: Stage) -> None:
    Deploy(stage.host.home, "b").ask(ADA)
    assert stage.run()["held"]["run"] == "b"
    assert not (stage.host.home / "next/env").exists()


def test_where_it_fails_the_files_are_not_shown(stage: Stage) -> None:
    """Ansible adds a module's arguments to what it says of an error, unless it says them itself."""
    (stage.host.home / "releases").rmdir()
    result = stage.run(content="PASSWORD=swordfish\n")
    assert (result["msg"].split(":")[0], result["invocation"]) == ("app_name", {})


def test_what_is_new_is_written_and_has_to_be_built(stage: Stage) -> None:
    result = stage.run()
    assert (result["changed"], result["files"], result["pending"], result["settled"]) == (True, ["env"], True, False)
    assert (stage.host.home / "next/env").read_text() == "A=1\n"
    assert Deploy(stage.host.home, "a").ours


def test_nothing_is_left_to_do_where_the_release_has_the_traffic(stage: Stage) -> None:
    stage.run()
    stage.built(prestarted=1)
    assert [stage.run()[name] for name in ("pending", "settled")] == [False, True]
    stage.settled = False
    assert [stage.run()[name] for name in ("pending", "settled")] == [False, False]


def test_a_release_that_prestart_has_failed_for_is_not_settled(stage: Stage) -> None:
    stage.run()
    stage.built()
    assert [stage.run()[name] for name in ("pending", "settled")] == [False, False]


def test_one_that_is_to_be_built_again_is_not_settled(stage: Stage) -> None:
    stage.run()
    stage.built(prestarted=1)
    again = stage.run(plan={**stage.plan, "force": True})
    assert [again[name] for name in ("pending", "settled")] == [True, False]


def test_the_deploy_ends_at_once_only_where_it_is_alone(stage: Stage) -> None:
    stage.run()
    stage.built(prestarted=1)
    stage.run()
    assert Deploy(stage.host.home, "a").ours
    stage.run(alone=True)
    assert not (stage.host.home / "deploy.lock").exists()


def test_a_dry_run_takes_no_lock_and_writes_nothing(stage: Stage) -> None:
    stage.run()
    stage.built(prestarted=1)
    Deploy(stage.host.home, "a").free()
    dry = stage.run("A=2\n", check=True, alone=True)
    assert (dry["changed"], dry["settled"]) == (True, False)
    assert dry["diff"][0]["after"] == "secret\n"
    assert (stage.host.home / "next/env").read_text() == "A=1\n"
    assert not (stage.host.home / "deploy.lock").exists()
