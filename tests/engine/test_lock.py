"""One deploy at a time: who gets the lock, who waits, and what the log says became of each."""

from __future__ import annotations

import json
import stat
import threading

import pytest
from ansible_collections.slipway.flask.plugins.module_utils.engine import lock
from ansible_collections.slipway.flask.plugins.module_utils.engine.errors import ReleaseError
from ansible_collections.slipway.flask.plugins.module_utils.engine.lock import Deploy

from engine.host import NEW, PATIENCE_SECONDS, Host

ADA = {"who": "ada", "host": "desk", "verb": "deploy", "source": "v1"}
BOB = {"who": "bob", "host": "sofa", "verb": "rollback", "source": ""}


def test_a_free_lock_is_taken(host: Host) -> None:
    deploy = Deploy(host.home, "a")
    assert deploy.holder == {}
    assert deploy.ask(ADA) == {}
    assert deploy.ours
    assert deploy.holder == {**ADA, "run": "a", "since": deploy.holder["since"]}


def test_one_that_is_held_is_refused_with_its_holder_and_stays(host: Host) -> None:
    Deploy(host.home, "a").ask(ADA)
    deploy = Deploy(host.home, "b")
    assert deploy.ask(BOB)["who"] == "ada"
    assert not deploy.ours
    assert Deploy(host.home, "a").ours


def test_the_lock_of_a_deploy_that_has_ended_is_taken_over_and_no_other(host: Host) -> None:
    Deploy(host.home, "a").ask(ADA)
    deploy = Deploy(host.home, "b")
    assert deploy.ask(BOB, instead_of="c")["run"] == "a"
    assert deploy.ask(BOB, instead_of="a") == {}
    assert deploy.holder["who"] == "bob"


def test_a_lock_that_is_broken_stops_the_other_deploy_at_its_next_step(host: Host) -> None:
    first = Deploy(host.home, "a")
    first.ask(ADA)
    assert Deploy(host.home, "b").ask(BOB, force=True) == {}
    done = []
    with (
        pytest.raises(ReleaseError, match="app_lock_break: this deploy's lock was broken by bob from sofa"),
        first.step(),
    ):
        done.append("a step")
    assert done == []
    assert Deploy(host.home, "b").holder["who"] == "bob"  # what the step failed with is not noted in another's lock
    assert "outcome" not in Deploy(host.home, "b").holder


def test_a_step_without_a_lock_is_refused(host: Host) -> None:
    with pytest.raises(ReleaseError, match="broken by somebody from elsewhere"), Deploy(host.home, "a").step():
        pass


def test_what_became_of_a_deploy_is_logged_when_the_lock_is_given_back(host: Host) -> None:
    deploy = Deploy(host.home, "a")
    deploy.ask(ADA)
    with deploy.step():
        deploy.note(step="done", id=NEW, outcome="activated")
    deploy.free()
    (entry,) = host.logged()
    assert {name: entry[name] for name in ("id", "outcome", "step", "verb", "who", "host", "source")} == {
        **ADA, "id": NEW, "outcome": "activated", "step": "done",
    }  # fmt: skip
    assert entry["seconds"] >= 0
    assert not deploy.path.exists()
    assert stat.S_IMODE((host.home / "release.log").stat().st_mode) == 0o640


def test_a_step_that_fails_is_logged_with_the_first_line_of_the_reason(host: Host) -> None:
    deploy = Deploy(host.home, "a")
    deploy.ask(ADA)

    def build() -> None:
        with deploy.step():
            deploy.note(step="build")
            raise ReleaseError("app_source: it cannot be installed\nNo matching distribution")

    with pytest.raises(ReleaseError):
        build()
    deploy.free()
    (entry,) = host.logged()
    assert (entry["outcome"], entry["step"]) == ("failed", "build")
    assert entry["reason"] == "app_source: it cannot be installed"


def test_a_deploy_that_changed_nothing_is_not_logged(host: Host) -> None:
    deploy = Deploy(host.home, "a")
    deploy.ask(ADA)
    deploy.free()
    assert host.logged() == []
    assert deploy.ask(ADA) == {}


def test_a_deploy_that_was_cut_off_is_logged_as_interrupted_by_the_next(host: Host) -> None:
    killed = Deploy(host.home, "a")
    killed.ask(ADA)
    killed.note(step="gate", id=NEW)
    Deploy(host.home, "b").ask(BOB, instead_of="a")
    (entry,) = host.logged()
    assert (entry["who"], entry["outcome"], entry["step"]) == ("ada", "interrupted", "gate")


def test_a_lock_that_cannot_be_read_is_nobody_s(host: Host) -> None:
    """A full disk left it empty."""
    (host.home / "deploy.lock").write_text("")
    assert Deploy(host.home, "b").ask(BOB) == {}
    assert host.logged() == []


def test_the_log_is_appended_to(host: Host) -> None:
    (host.home / "release.log").write_text(json.dumps({"outcome": "activated"}) + "\n")
    deploy = Deploy(host.home, "a")
    deploy.ask(ADA)
    deploy.note(step="build")
    deploy.free()
    assert [entry["outcome"] for entry in host.logged()] == ["activated", "interrupted"]


def test_a_step_of_a_killed_deploy_that_still_runs_is_waited_for(host: Host) -> None:
    """It changes what the next deploy would change."""
    killed, deploy = Deploy(host.home, "a"), Deploy(host.home, "b")
    killed.ask(ADA)
    under_way, may_end = threading.Event(), threading.Event()

    def last_step() -> None:
        with killed.step():
            under_way.set()
            may_end.wait(PATIENCE_SECONDS)
            killed.note(step="done", outcome="activated")

    step = threading.Thread(target=last_step)
    taking = threading.Thread(target=lambda: deploy.ask(BOB, instead_of="a"))
    step.start()
    assert under_way.wait(PATIENCE_SECONDS)
    taking.start()
    assert killed.ours
    may_end.set()
    for thread in (step, taking):
        thread.join(PATIENCE_SECONDS)
    assert deploy.ours
    assert [entry["outcome"] for entry in host.logged()] == ["activated"]


def test_a_step_that_does_not_end_is_named(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "STEP_PATIENCE_SECONDS", 0)
    deploy = Deploy(host.home, "a")
    deploy.ask(ADA)
    deploy.note(step="prestart")
    with deploy.alone(), pytest.raises(ReleaseError, match=r"is still running on the server \(prestart; waited 0 s"):
        Deploy(host.home, "b").ask(BOB, force=True)
    assert deploy.ours
