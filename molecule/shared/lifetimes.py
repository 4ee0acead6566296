"""A site with a certificate, the CA and the faults that either may have, in a time that only goes forward."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from cryptography import x509

from authority import Authority
from https import Secure
from probe import Site, until
from renewal import DAY_SECONDS, PROGRAM, Outcome, Renewal

HOME = "/var/lib/slipway/certificates/site"
# What CAs give: Let's Encrypt's shortlived, tlsserver and classic.
LIFETIMES_SECONDS = [160 * 3600, 45 * DAY_SECONDS, 90 * DAY_SECONDS]
# From one tick to the next when it is about time: eight in the last third of the shortest lifetime, as the timer has it.
STEP = (0.03, 0.06)


@dataclass
class World:
    """The CA, the server, and the time that they think it is.

    lifetime: of the next certificate. at: how far the right time is ahead of this machine's. skew: how far the server's clock is
    ahead of that. All in seconds.
    """

    authority: Authority
    site: Site
    renewal: Renewal
    lifetime: int = LIFETIMES_SECONDS[1]
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
        done = self.renewal.tick()
        if done.state["loaded"]:
            self.settle(done.state["certificate"])
        return done

    def obtain(self) -> None:
        """Ask the CA for a certificate, whatever there was."""
        self.shell(f"rm -rf {HOME}/acme/live {HOME}/acme/archive {HOME}/acme/renewal; {PROGRAM} obtain site --retry")
        self.settle(f"{HOME}/acme/live/site/fullchain.pem")

    def settle(self, certificate: str) -> None:
        """Wait until visitors get the certificate in a file: while nginx reloads, it still answers with the one before."""
        serial = int(self.renewal.host.check_output("openssl x509 -noout -serial -in %s", certificate)[7:], 16)
        until(lambda: self.served().serial_number == serial, "visitors get the new certificate")

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
        return Secure(self.site.address, str(self.site.domain)).certificate()

    def left(self) -> float:
        """Return the share of its lifetime that is left."""
        served = self.served()
        return (served.not_valid_after_utc.timestamp() - self.now()) / length(served)


def length(certificate: x509.Certificate) -> float:
    """Return for how many seconds a certificate is valid."""
    return (certificate.not_valid_after_utc - certificate.not_valid_before_utc).total_seconds()


def due(certificate: x509.Certificate) -> float:
    """Return at which share of its lifetime a certificate is renewed, where the CA says nothing of that."""
    return 1 / 2 if length(certificate) < 10 * DAY_SECONDS else 2 / 3


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
    world.authority.name(str(world.site.domain), "127.0.0.1")


def here(world: World) -> None:
    """End it."""
    world.authority.name(str(world.site.domain), world.site.address)


POWER, EDGE = "the power is lost", "the edge takes no configuration"
BROKEN = "/etc/nginx/conf.d/broken.conf"
KINDS = {
    "the CA is away": ca(down=True, words="Connection aborted"),
    "the CA is overloaded": ca(status=503, type="serverInternal", detail="Service busy", words="Service busy"),
    "too many requests": ca(
        status=429, type="rateLimited", detail="too many certificates", words="too many certificates"
    ),
    "the challenge cannot be read": on_server(f"chmod 0 {HOME}/webroot", f"chmod 755 {HOME}/webroot", "unauthorized"),
    "DNS leads elsewhere": Kind(elsewhere, here, "connection refused"),
    EDGE: on_server(f"echo broken > {BROKEN}", f"rm -f {BROKEN}", "has not read the new certificate"),
    "the clock is wrong": Kind(wrong_clock, right_clock, "The clock of this server is"),
    "the disk is full": Kind(full_disk, room, "File too large", noted=False),
    POWER: Kind(lambda world, draw: None, lambda world: None, ""),
}
