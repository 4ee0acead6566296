"""A site of this server and its certificate: what was asked for, and what there is."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509

from pairs import covers, is_address, left, names, read, self_signed, write

SETTINGS = Path("/etc/slipway/certificates")
HOME = Path("/var/lib/slipway/certificates")

# The shares of a lifetime that are left when a certificate should have been renewed. One that is provided is renewed by a person.
LATE = {"acme": 1 / 3, "selfsigned": 1 / 3, "provided": 1 / 10}


class NotDoneError(Exception):
    """What was asked could not be done; the text says why, and what to do.

    until: before when the CA does not want to be asked again, in s since 1970; 0 where it did not say.
    """

    def __init__(self, reason: str, until: float = 0) -> None:
        super().__init__(reason)
        self.until = until


class NotAskedError(NotDoneError):
    """What keeps the CA from being asked: there is nothing to wait for before the next attempt."""


class Pair(NamedTuple):
    """Where a certificate and its key are; they may be one file."""

    certificate: Path
    key: Path

    @property
    def digest(self) -> str:
        """What a web server reads of it, in short; empty where it is not there."""
        with contextlib.suppress(FileNotFoundError):
            return hashlib.sha256(self.certificate.read_bytes() + self.key.read_bytes()).hexdigest()
        return ""


class Site:
    """One site, as its settings have it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.home = HOME / name
        self.settings: dict[str, Any] = json.loads((SETTINGS / f"{name}.json").read_text())
        self.source: str = self.settings["source"]
        self.wanted: list[str] = self.settings["names"]

    def pair(self, source: str) -> Pair:
        """Return where the pair of a source is, or would be."""
        live = self.home / "acme/live/site"
        if source == "acme":
            return Pair(live / "fullchain.pem", live / "privkey.pem")
        file = SETTINGS / f"{self.name}.pem" if source == "provided" else self.home / "selfsigned.pem"
        return Pair(file, file)

    @property
    def certificate(self) -> x509.Certificate | None:
        """The certificate of the source that is asked for; None where there is none yet."""
        return read(self.pair(self.source).certificate)

    def covered(self, source: str) -> list[str]:
        """Return the names of the site that the certificate of a source is for."""
        there = names(read(self.pair(source).certificate))
        return [name for name in self.wanted if any(covers(one, name) for one in there)]

    @property
    def shown(self) -> str:
        """The source of the pair that visitors get: the one that is asked for, or the one before it until that has any name."""
        former = self.noted("shown").get("source", self.source)
        if self.covered(self.source) or not self.covered(former):
            return self.source
        certificate = read(self.pair(former).certificate)
        return former if certificate and left(certificate) > 0 else self.source

    @property
    def issuer(self) -> str:
        """The directory URL of the CA that gave the certificate; empty where none has."""
        with contextlib.suppress(FileNotFoundError):
            kept = (self.home / "acme/renewal/site.conf").read_text()
            return (re.findall(r"^server = (\S+)", kept, re.MULTILINE) or [""])[0]
        return ""

    def complete(self) -> bool:
        """Whether the certificate has every name of the site, and is of the CA that is asked for."""
        same = self.source != "acme" or self.issuer == self.settings["server"]
        return same and self.covered(self.source) == self.wanted

    def loaded(self) -> bool:
        """Whether the web server has read the pair that visitors should get."""
        digest = self.pair(self.shown).digest
        return not digest or self.noted("loaded").get("digest") == digest

    def note(self, file: str, **facts: object) -> None:
        """Keep facts for the next run, in one step."""
        write(self.home / f"{file}.json", json.dumps({"at": time.time(), **facts}).encode())

    def forget(self, *files: str) -> None:
        """Keep these facts no longer."""
        for file in files:
            (self.home / f"{file}.json").unlink(missing_ok=True)

    def noted(self, file: str) -> dict[str, Any]:
        """Return what was kept; empty where nothing was."""
        with contextlib.suppress(FileNotFoundError):
            found: dict[str, Any] = json.loads((self.home / f"{file}.json").read_text())
            return found
        return {}

    @property
    def refusal(self) -> dict[str, Any]:
        """What the CA said when it was asked in vain for what is wanted now: reason, until (s since 1970). Empty where it was not."""
        refused = self.noted("refused")
        asked = {"names": sorted(self.wanted), "server": self.settings["server"]}
        return refused if self.source == "acme" and refused.items() >= asked.items() else {}

    @property
    def problem(self) -> str:
        """What is wrong; empty where all is well."""
        said = [] if self.complete() else [self.refusal.get("reason", "")]
        certificate = self.certificate
        if self.source == "acme":
            said.append(self.noted("unrenewed").get("reason", ""))
        if not self.loaded():
            said.append(self.noted("unloaded").get("reason", ""))
        if certificate and left(certificate) <= LATE[self.source]:
            said.insert(0, self.late(certificate))
        return " ".join(filter(None, said))

    def late(self, certificate: x509.Certificate) -> str:
        """Return that a certificate should have been replaced."""
        end = f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
        if self.source == "provided":
            return f"certificates_provided_certificate: it ends on {end}. Give a new pair, and run site.yml."
        return f"The certificate of {self.name} ends on {end} and was not renewed."

    def state(self) -> dict[str, Any]:
        """Return how the certificate is.

        source: str. names: list of str, those of the site that visitors have HTTPS for. complete, loaded: bool, see above. problem: str.
        certificate, key, nameless, webroot: paths for the web server. address: bool, whether a site of this server is reached by its address.
        """
        by_address = with_address()
        bare = by_address is not None and by_address.name == self.name
        pair = Pair(nameless(), nameless()) if bare else self.pair(self.shown)
        return {
            "source": self.source,
            "names": self.covered(self.shown),
            "complete": self.complete(),
            "loaded": self.loaded(),
            "problem": self.problem,
            "certificate": str(pair.certificate),
            "key": str(pair.key),
            "nameless": str(nameless()),
            "address": by_address is not None,
            "webroot": str(self.home / "webroot") if self.source == "acme" else "",
        }


def waiting(refused: dict[str, Any]) -> bool:
    """Whether a CA that refused is not to be asked yet. What was noted in the future, was so by a clock that was wrong."""
    return bool(refused.get("at", 0) <= time.time() < refused.get("until", 0))


def nameless() -> Path:
    """Return what a client is shown that names no host, as browsers do where they are given an address (RFC 6066, 3).

    It is the pair of the site that has an address among its names, or one without any name. No site has a dot in its name.
    """
    return HOME / "nameless.pem"


def with_address() -> Site | None:
    """Return the site of this server that has a certificate for an address; None where no site has.

    Of several it is the one that was the first.
    """
    found = []
    for file in sorted(SETTINGS.glob("*.json")):
        # What is wrong with another site is not this one's business.
        with contextlib.suppress(OSError, ValueError, KeyError):
            site = Site(file.stem)
            if any(map(is_address, site.covered(site.shown))):
                found.append(site)
    with contextlib.suppress(ValueError):
        now = names(read(nameless()))
        found.sort(key=lambda site: names(read(site.pair(site.shown).certificate)) != now)
    return found[0] if found else None


def refresh_nameless() -> bool:
    """See to it that the nameless pair is what it should be; return whether it was another."""
    with alone(HOME):
        site = with_address()
        file = nameless()
        old = file.read_bytes() if file.exists() else b""
        if site:
            pair = site.pair(site.shown)
            new = pair.certificate.read_bytes() + (pair.key.read_bytes() if pair.key != pair.certificate else b"")
            if old != new:
                write(file, new)
        elif not old or names(read(file)):
            self_signed([], file)
        return file.read_bytes() != old


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder: the timer and a play do not work on it at the same time."""
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
