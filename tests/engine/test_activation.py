"""The moment a release gets the traffic."""

from __future__ import annotations

from ansible_collections.slipway.flask.plugins.module_utils.engine import activation


def test_a_worker_that_was_restarted_has_died_whatever_it_does_just_now() -> None:
    """The web server is not one of them: its gate has passed, and the process manager sees to it."""
    status = [
        "site@0123456789ab.service\trunning\t5\t1\t0",
        "site-good-1@0123456789ab.service\trunning\t5\t0\t0",
        "site-frail-1@0123456789ab.service\trunning\t0\t3\t0",
        "site-frail-2@0123456789ab.service\tfailing\t0\t0\t0",
        "site-tick@0123456789ab.timer\twaiting\t5\t0\t0",
    ]
    dead = activation.dead_workers("\n".join(status), "site@0123456789ab")
    assert dead == ["site-frail-1@0123456789ab.service", "site-frail-2@0123456789ab.service"]
