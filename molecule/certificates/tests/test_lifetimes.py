"""Lifetimes of certificates in fast motion, with faults drawn at random.

The CA has a clock (molecule/shared/authority/front.py), and so has the renewal on the server (faketime); certbot, the program and
nginx are the real ones. The timer ticks from time to time until the certificate is renewed, and then the next lifetime begins. A
fault lasts as long as was drawn, but ends after an alarm: somebody takes care of it.

`make test` asks one lifetime for each kind of fault, `make test-lifetimes` a hundred; SLIPWAY_SEED draws the same again.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from authority import Authority, authority  # noqa: F401 - a fixture
from lifetimes import EDGE, KINDS, LIFETIMES_SECONDS, POWER, STEP, World, due, length
from probe import Site, until
from renewal import DAY_SECONDS, Renewal

SERVER = "certificates-trixie"
SITE = Site(Path(__file__).parents[1] / "environment", "site", SERVER, f"{SERVER}.test")
LIFETIMES = int(os.environ.get("SLIPWAY_LIFETIMES", "0"))
SEED = int(os.environ.get("SLIPWAY_SEED") or 0) or random.SystemRandom().randrange(1, 10**6)
LATE = 1 / 3

testinfra_hosts = [f"ansible://{SERVER}"]


@pytest.fixture
def world(authority: Authority) -> Iterator[World]:  # noqa: F811
    """A site whose certificate is a new one of a CA with a clock of its own, and afterwards one of Pebble's again."""
    found = World(authority, SITE, Renewal(SITE.host))
    found.apply()
    found.obtain()
    yield found
    for kind in KINDS.values():
        kind.end(found)
    authority.want()
    found.renewal.reset()
    found.obtain()


def lose_power(world: World, draw: random.Random) -> None:
    """Kill the renewal while the CA has a certain one of its requests, if it makes so many."""
    host, unit = world.renewal.host, world.renewal.unit
    world.fault = {"hold": draw.randint(1, 12)}
    world.apply()
    host.check_output(f"systemctl start --no-block {unit}")
    over = f"systemctl show --property=ActiveState --value {unit}"
    until(
        lambda: world.authority.holds() or host.check_output(over) != "activating", "the renewal is held, or over", 120
    )
    host.run(f"systemctl kill --signal=KILL {unit}")
    until(lambda: host.check_output(over) != "activating", "the renewal is dead")
    world.fault = None
    world.apply()
    until(lambda: not world.authority.holds(), "the CA goes on")


def live(world: World, name: str, draw: random.Random) -> list[str]:
    """Let one lifetime pass; return what happened."""
    kind, served = KINDS[name], world.served()
    seconds, story = length(served), [f"{name}, {length(served) / DAY_SECONDS:.1f} days"]
    share, going, alarms, killed = 0.0, False, 0, False
    if LIFETIMES:
        world.lifetime = draw.choice(LIFETIMES_SECONDS)
        begins = draw.uniform(0.05, 0.65)
        ends = begins + draw.choice([0.1, 0.3, 1])
    else:
        begins, ends = 0.3, 1.0
    while True:
        # Not all ticks before it is time: they do nothing.
        first = draw.uniform(0.2, 0.4) if LIFETIMES else 1
        then = share + draw.uniform(*STEP) if share >= due(served) - 0.02 else min(share + first, due(served) - 0.02)
        world.at += (then - share) * seconds
        share = then
        if not going and begins <= share < ends and not alarms:
            kind.begin(world, draw)
            going = True
        elif going and (share >= ends or alarms > 1 or (alarms and not LIFETIMES)):
            kind.end(world)
            going = False
        if name == POWER and share > due(served) and not killed:
            lose_power(world, draw)
            killed = True
        done = world.tick()
        left = world.left()
        said = " ".join(line for line in done.log.splitlines() if not line.startswith("{"))
        story.append(f"{share:.2f}: {left:.2f} left, {'fault' if going else 'well'}, {done.code}: {said}")
        assert 0 < left < 1.001, story
        if not going:
            assert done.code == 0, story
            assert done.state["problem"] == "", story
        if left <= LATE:
            assert done.code == 1, story
            assert world.renewal.failed(), story
            assert kind.words in done.log, story
            assert (kind.words if kind.noted else "was not renewed") in done.state["problem"], story
        alarms += done.code
        new = world.served()
        if new.serial_number != served.serial_number:
            # In these two the CA may have issued it some ticks ago, and a tick is a long time of a lifetime that is shorter.
            assert left > (1 - due(new) if name in (EDGE, POWER) else 0.9), story
            kind.end(world)
            return story


def test_no_visitor_gets_a_certificate_that_has_ended_and_each_fault_that_lasts_raises_the_alarm(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    draw = random.Random(SEED)
    with capsys.disabled():  # what was drawn is in the log of a run that passes, too
        print(f"\nSLIPWAY_SEED={SEED}")
    names = draw.choices(list(KINDS), k=LIFETIMES) if LIFETIMES else list(KINDS)
    for number, name in enumerate(names):
        for line in live(world, name, draw):
            print(f"SLIPWAY_SEED={SEED} {number} {line}", flush=True)  # shown where it fails
