"""What the tests of HTTPS need: the CA and the DNS server of a scenario (molecule/shared/authority), which they steer.

A scenario has one more server, and plays and tests that leave it out:

    platforms:
      - {name: nginx-authority, debian: trixie, groups: [authority]}

    prepare.yml      import_playbook: ../shared/authority/prepare.yml
    converge.yml     hosts: edge
    tests            testinfra_hosts = ["edge"]

The CA is Pebble. It validates by HTTP-01 on port 80, and has its root, its accounts and its orders in memory only: each
start of it, also by a reboot, makes another root, and knows no account. In front of it is molecule/shared/authority/front.py,
which has the faults and the clock that a test wants (`Authority.want`).
"""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
import testinfra
from testinfra.host import Host

DIRECTORY = "https://authority.test:14000/dir"
# On every other server: the certificate that a client of DIRECTORY must trust.
TRUST = Path("/etc/ssl/authority.pem")
# The CA refuses this domain (rejectedIdentifier).
REFUSED = "refused.test"
NAMES = "/etc/authority/names"
CONFIGURATION = "/etc/authority/pebble.json"
WANTED = "/run/authority.json"
HELD = "/run/authority-held"


class Authority:
    """The authority of a scenario."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def name(self, domain: str, *addresses: str) -> None:
        """Have a domain lead to these addresses (IPv4, IPv6) and no others; without one, it has none."""
        for version, kind in ((4, "a"), (6, "aaaa")):
            chosen = [address for address in addresses if ipaddress.ip_address(address).version == version]
            self._tell(f"clear-{kind}", {"host": domain})
            # Kept for the next start of the DNS server.
            file = f"{NAMES}/add-{kind}/{domain}"
            if chosen:
                record = {"host": domain, "addresses": chosen}
                self.host.check_output("printf %%s %s > %s", json.dumps(record), file)
                self._tell(f"add-{kind}", record)
            else:
                self.host.check_output("rm -f %s", file)

    def break_name(self, domain: str) -> None:
        """Have the DNS server fail when asked for a domain (SERVFAIL), until `mend_name` or its next start."""
        self._tell("set-servfail", {"host": domain})

    def mend_name(self, domain: str) -> None:
        """End what `break_name` began."""
        self._tell("clear-servfail", {"host": domain})

    def root(self) -> str:
        """Return the root's certificate as PEM; the next start makes another."""
        return self._ask("roots/0")

    def intermediate(self) -> str:
        """Return the certificate of the issuing CA as PEM; the next start makes another."""
        return self._ask("intermediates/0")

    def lifetime(self, seconds: int) -> None:
        """Issue certificates for so long from now on. This starts Pebble again: another root, and no account is known."""
        old = json.loads(self.host.file(CONFIGURATION).content_string)
        old["pebble"]["certificateValidityPeriod"] = seconds
        self.host.check_output(f"printf %%s %s > {CONFIGURATION}", json.dumps(old, indent=2))
        self.start()

    def want(self, **settings: object) -> None:
        """Have the CA be so from now on, and in nothing else unlike Pebble: see front.py."""
        self.host.check_output(f"printf %%s %s > {WANTED}.new && mv {WANTED}.new {WANTED}", json.dumps(settings))

    def holds(self) -> bool:
        """Whether a client is kept waiting now."""
        return bool(self.host.file(HELD).exists)

    def own_root(self) -> str:
        """Return the certificate, as PEM, of the CA that issues by a clock and for a lifetime that were wanted."""
        return str(self.host.file("/etc/authority/ca.pem").content_string)

    def stop(self) -> None:
        """Have the CA refuse connections."""
        self.host.check_output("systemctl stop front pebble")

    def start(self) -> None:
        """Start the CA, also where it runs; it answers when this returns. Another root, and no account is known."""
        self.host.check_output("systemctl restart pebble front")

    def requests(self) -> int:
        """Return how often the CA was asked anything but its directory, since this server's boot."""
        return self._logged("calling handler()") - self._logged("GET /dir -> ")

    def orders(self) -> int:
        """Return how often the CA was asked for a certificate, in vain or not, since this server's boot."""
        return self._logged("POST /order-plz -> ")

    def asked(self) -> int:
        """Return how often somebody wanted a certificate, those included who were answered before the CA heard of it."""
        return self._logged("POST /order-plz HTTP", "front")

    def issued(self) -> int:
        """Return how many certificates the CA has issued, since this server's boot."""
        return self._logged("Issued certificate serial ")

    def log(self) -> str:
        """Return what the CA logged last, for the message of a failed test."""
        return str(self.host.check_output("journalctl --unit=pebble --lines=40 --output=cat --no-pager"))

    def _logged(self, text: str, unit: str = "pebble") -> int:
        log = self.host.check_output(f"journalctl --sync; journalctl --boot --unit={unit} --output=cat --no-pager")
        return str(log).count(text)

    def _ask(self, path: str) -> str:
        trust = "--cacert /etc/authority/ca.pem"
        return str(self.host.check_output(f"curl --silent --show-error --fail {trust} https://localhost:15000/{path}"))

    def _tell(self, path: str, record: Mapping[str, object]) -> None:
        curl = f"curl --silent --show-error --fail http://127.0.0.1:8055/{path}"
        self.host.check_output(f"{curl} --data %s", json.dumps(record))


@pytest.fixture(scope="session")
def authority() -> Authority:
    """The authority of the scenario that is being tested."""
    inventory = Path(os.environ["MOLECULE_INVENTORY_FILE"]).parent
    (host,) = testinfra.get_hosts(["ansible://authority"], ansible_inventory=str(inventory))
    return Authority(host)
