"""Lifetimes of certificates in fast motion, with faults drawn at random.

The CA has a clock (molecule/shared/authority/front.py), and so has the renewal on the server (faketime); certbot, the program and
nginx are the real ones. The timer ticks from time to time until the certificate is renewed, and then the next lifetime begins. A
fault lasts as long as was drawn, but ends after an alarm: somebody takes care of it.

`make test` asks one lifetime for each kind of fault, `make test-lifetimes` a hundred; SLIPWAY_SEED draws the same again.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509

from authority import Authority, authority  # noqa: F401 - a fixture
from https import Secure
from probe import Site, until
from renewal import DAY_SECONDS, PROGRAM, Outcome, Renewal

SERVER = "certificates-trixie"
SITE = Site(Path(__file__).parents[1] / "environment", "site", SERVER, f"{SERVER}.test")
HOME = "/var/lib/slipway/certificates/site"
LIFETIMES = int(os.environ.get("SLIPWAY_LIFETIMES", "0"))
SEED = int(os.environ.get("SLIPWAY_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
# What CAs give: Let's Encrypt's shortlived, tlsserver and classic.
LIFETIMES_SECONDS = [160 * 3600, 45 * DAY_SECONDS, 90 * DAY_SECONDS]
LATE = 1 / 3
# From one tick to the next when it is about time: eight in the last third of the shortest lifetime, as the timer has it.
STEP = (0.03, 0.06)

testinfra_hosts = [f"ansible://{SERVER}"]


@dataclass
class World:
    """The CA, the server, and the time that they think it is.

    lifetime: of the next certificate. at: how far the right time is ahead of this machine's. skew: how far the server's clock is
    ahead of that. All in seconds.
    """

    authority: Authority
    renewal: Renewal
    lifetime: int = LIFETIMES_SECONDS[0]
    at: float = 0
    skew: float = 0
    limit: str = "true"
    fault: dict[str, object] | None = None

    def now(self) -> float:
        """Return the right time, in s since 1970."""
        return time.time() + self.at

    def tick(self) -> Outcome:
        """Let the timer start the renewal at this time."""
        self.apply()
        return self.renewal.tick()

    def apply(self) -> None:
        """Have the clocks and faults be so."""
        fault = {"fault": self.fault} if self.fault else {}
        self.authority.want(ahead=self.at, lifetime=self.lifetime, **fault)
        self.renewal.set(self.at + self.skew, self.limit)

    def shell(self, command: str) -> None:
        """Run a command on the server."""
        self.renewal.host.check_output(command)

    def served(self) -> x509.Certificate:
        """Return the certificate that visitors get."""
        return Secure(SITE.address, str(SITE.domain)).certificate()

    def left(self) -> float:
        """Return the share of its lifetime that is left."""
        served = self.served()
        return (served.not_valid_after_utc.timestamp() - self.now()) / length(served)


def length(certificate: x509.Certificate) -> float:
    """Return for how many seconds a certificate is valid."""
    return (certificate.not_valid_after_utc - certificate.not_valid_before_utc).total_seconds()


@dataclass(frozen=True)
class Kind:
    """A kind of fault. words: what the alarm says of it. noted: whether the server can keep that for its status."""

    begin: Callable[[World, random.Random], None]
    end: Callable[[World], None]
    words: str
    noted: bool = True


def ca(**fault: object) -> Kind:
    """Return a fault of the CA. words: of the alarm."""
    words = str(fault.pop("words"))

    def begin(world: World, draw: random.Random) -> None:
        world.fault = dict(fault)
        if fault.get("status") == 429 and draw.random() < 1 / 2:
            # Over at the next tick.
            world.fault["retry_after"] = str(round(length(world.served()) * draw.uniform(0.005, STEP[0] - 0.005)))

    def end(world: World) -> None:
        world.fault = None

    return Kind(begin, end, words)


def on_server(begin: str, end: str, words: str) -> Kind:
    """Return a fault that two commands begin and end."""
    return Kind(lambda world, _: world.shell(begin), lambda world: world.shell(end), words)


def wrong_clock(world: World, draw: random.Random) -> None:
    """Draw a clock that is hours or lifetimes from the right time."""
    world.skew = draw.choice([-1, 1]) * draw.choice([2 * 3600, world.lifetime / 2, 3 * world.lifetime])


def right_clock(world: World) -> None:
    """End it."""
    world.skew = 0


def full_disk(world: World, _: random.Random) -> None:
    """Let no byte be written to a file."""
    world.limit = "ulimit -f 0"


def room(world: World) -> None:
    """End it."""
    world.limit = "true"


def elsewhere(world: World, _: random.Random) -> None:
    """Have DNS lead to the CA's own server, where nothing listens."""
    world.authority.name(str(SITE.domain), "127.0.0.1")


def here(world: World) -> None:
    """End it."""
    world.authority.name(str(SITE.domain), SITE.address)


POWER = "the power is lost"
BROKEN = "/etc/nginx/conf.d/broken.conf"
KINDS = {
    "the CA is away": ca(down=True, words="Connection aborted"),
    "the CA is overloaded": ca(status=503, type="serverInternal", detail="Service busy", words="Service busy"),
    "too many requests": ca(status=429, type="rateLimited", detail="too many certificates", words="too many certificates"),
    "the challenge cannot be read": on_server(f"chmod 0 {HOME}/webroot", f"chmod 755 {HOME}/webroot", "unauthorized"),
    "DNS leads elsewhere": Kind(elsewhere, here, str(SITE.domain)),
    "the edge takes no configuration": on_server(f"echo broken > {BROKEN}", f"rm -f {BROKEN}", "has not read the new certificate"),
    "the clock is wrong": Kind(wrong_clock, right_clock, "The clock of this server is"),
    "the disk is full": Kind(full_disk, room, "File too large", noted=False),
    POWER: Kind(lambda world, draw: None, lambda world: None, ""),
}


@pytest.fixture
def world(authority: Authority) -> Iterator[World]:  # noqa: F811
    """A site whose certificate is a new one of a CA with a clock of its own, and afterwards one of Pebble's again."""
    found = World(authority, Renewal(SITE.host))
    certificate = f"rm -rf {HOME}/acme/live {HOME}/acme/archive {HOME}/acme/renewal; {PROGRAM} obtain site --retry"
    found.apply()
    found.shell(certificate)
    yield found
    for kind in KINDS.values():
        kind.end(found)
    authority.want()
    found.renewal.reset()
    found.shell(certificate)


def lose_power(world: World, draw: random.Random) -> None:
    """Kill the renewal while the CA has a certain one of its requests, if it makes so many."""
    host, unit = world.renewal.host, world.renewal.unit
    world.fault = {"hold": draw.randint(1, 12)}
    world.apply()
    host.check_output(f"systemctl start --no-block {unit}")
    over = f"systemctl show --property=ActiveState --value {unit}"
    until(lambda: world.authority.holds() or host.check_output(over) != "activating", "the renewal is held, or over", 120)
    host.run(f"systemctl kill --signal=KILL {unit}")
    until(lambda: host.check_output(over) != "activating", "the renewal is dead")
    world.fault = None
    world.apply()
    until(lambda: not world.authority.holds(), "the CA goes on")


def live(world: World, name: str, draw: random.Random) -> list[str]:
    """Let one lifetime pass; return what happened."""
    kind, served = KINDS[name], world.served()
    seconds, story = length(served), [f"{name}, {length(served) / DAY_SECONDS:.1f} days"]
    world.lifetime = draw.choice(LIFETIMES_SECONDS)
    begins = draw.uniform(0.05, 0.65)
    ends = begins + draw.choice([0.1, 0.3, 1])
    due = 1 / 2 if seconds < 10 * DAY_SECONDS else 2 / 3
    share, going, alarms, killed = 0.0, False, 0, False
    while True:
        # Not all ticks before it is time: they do nothing.
        then = share + draw.uniform(*STEP) if share >= due - 0.02 else min(share + draw.uniform(0.2, 0.4), due - 0.02)
        world.at += (then - share) * seconds
        share = then
        if not going and begins <= share < ends and not alarms:
            kind.begin(world, draw)
            going = True
        elif going and (share >= ends or alarms >= 2):
            kind.end(world)
            going = False
        if name == POWER and share > due and not killed:
            lose_power(world, draw)
            killed = True
        done = world.tick()
        left = world.left()
        story.append(f"{share:.2f}: {left:.2f} left, {'fault' if going else 'well'}, {done.code}: {done.log[-300:]}")
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
        if world.served().serial_number != served.serial_number:
            assert left > 0.9, story
            kind.end(world)
            return story


def test_no_visitor_gets_a_certificate_that_has_ended_and_each_fault_that_lasts_raises_the_alarm(world: World) -> None:
    draw = random.Random(SEED)
    names = draw.choices(list(KINDS), k=LIFETIMES) if LIFETIMES else list(KINDS)
    for number, name in enumerate(names):
        print(f"SLIPWAY_SEED={SEED}, lifetime {number}: {name}", flush=True)  # shown where it fails
        for line in live(world, name, draw):
            print("  ", line.replace("\n", " "), flush=True)
