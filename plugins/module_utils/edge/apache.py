"""How Apache tests a configuration, and which ones it accepts that cannot work."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.flask.plugins.module_utils.edge.files import EdgeFiles
from ansible_collections.slipway.flask.plugins.module_utils.edge.ports import bindable

VIRTUAL_HOST = re.compile(r"^\s*<VirtualHost\s+([^>]+)>", re.MULTILINE | re.IGNORECASE)
# `port 80 namevhost one.test (/etc/apache2/sites-enabled/one.conf:2)`, then `alias www.one.test` for each further name;
# both are indented below the address, which is at the beginning of a line.
NAME = re.compile(r"^\s+(?:port \d+ namevhost|(?:wild )?alias) (\S+)")
LISTEN = re.compile(r"^\s*Listen\s+(?:\*:)?(\S+)", re.MULTILINE | re.IGNORECASE)
# What Apache reserves when it starts (mpm_common).
LIMIT = re.compile(r"^\s*((?:Server|Thread)Limit)\s+(\d+)", re.MULTILINE | re.IGNORECASE)

EVERY_IPV4 = "0.0.0.0"  # noqa: S104 - compared, not listened on


def clash(one: str, other: str) -> bool:
    """Whether Apache could not listen on two addresses at a time; a port alone is all of them, IPv4 and IPv6."""
    (host, _, port), (second, _, same) = one.rpartition(":"), other.rpartition(":")
    hosts = {host, second}
    # Together with 0.0.0.0, [::] is IPv6 only.
    if port != same or len(hosts) == 1 or hosts == {EVERY_IPV4, "[::]"}:
        return False
    return bool(hosts & {"", "[::]"}) or (EVERY_IPV4 in hosts and ":" not in "".join(hosts))


def addresses(folder: Path) -> set[str]:
    """Return what the configuration in a folder listens on."""
    files = [folder / "apache2.conf", *folder.glob("*-enabled/*.conf")]
    return {address for file in files if file.is_file() for address in LISTEN.findall(file.read_text(errors="replace"))}


class Apache(EdgeFiles):
    """The files of one Apache, and the wanted content of some of them."""

    program = "apache2"
    role = "apache"

    def __init__(self, module: AnsibleModule) -> None:
        super().__init__(module)
        for name in module.params["modules"]:
            for suffix in ("load", "conf"):
                path, target = f"mods-enabled/{name}.{suffix}", f"../mods-available/{name}.{suffix}"
                there = (self.root / "mods-available" / f"{name}.{suffix}").exists()
                if there and not os.path.lexists(self.root / path) and path not in module.params["unlinked"]:
                    self.links[path] = target

    def orphans(self) -> Iterator[str]:
        """Yield the files for unknown hosts whose address no site will listen on any more."""
        folder, _, prefix = self.module.params["unknown_hosts"].rpartition("/")
        texts = self.texts(folder, prefix).values()
        heard = {
            word.removeprefix("*:") for text in texts for words in VIRTUAL_HOST.findall(text) for word in words.split()
        }
        for file in sorted((self.root / folder).glob(f"{prefix}*.conf".replace("[", "[[]"))):
            if file.name.removeprefix(prefix).removesuffix(".conf") not in heard:
                yield str(file.relative_to(self.root))

    def judge(self, folder: Path) -> tuple[bool, str]:
        """Have Apache test the configuration in a folder; return if it passes, and what it said of its sites."""
        control = self.module.get_bin_path("apache2ctl", required=True, opt_dirs=["/usr/sbin"])
        # Debian's apache2ctl(8) reads envvars in that folder, and has Apache look for relative paths there.
        environment = {"APACHE_CONFDIR": str(folder)}
        code, said, faults = self.module.run_command(
            [control, "-t", "-D", "DUMP_VHOSTS"], environ_update=environment, umask=0o027
        )
        return code == 0, (said + faults).rstrip().replace(str(folder), str(self.root))

    def clashes(self, said: str) -> set[str]:
        """Return the names that two sites claim on one address: Apache takes the first without a word."""
        found: set[str] = set()
        twice = set()
        address = ""
        for line in said.splitlines():
            if line[:1].strip():
                address = line.split()[0]
            elif match := NAME.match(line):
                claim = f"{address} {match[1].lower()}"
                if claim in found:
                    twice.add(f'"{match[1]}" on {address}')
                found.add(claim)
        return twice

    def apart(self, folder: Path) -> set[str]:
        """Return pairs of addresses in a configuration that Apache could not listen on both."""
        pairs = itertools.combinations(sorted(addresses(folder)), 2)
        return {f"{one} and {other}" for one, other in pairs if clash(one, other)}

    def restarts(self, folder: Path) -> bool:
        """Whether a reload would end Apache, as it opens new sockets before it closes old ones, or would not change a limit."""
        before = addresses(self.root)
        limits, others = (LIMIT.findall((path / "apache2.conf").read_text()) for path in (self.root, folder))
        return limits != others or any(clash(new, old) for new in addresses(folder) - before for old in before)

    def free(self, address: str) -> bool:
        """Whether Apache could listen on an address now; a port alone is IPv4 and IPv6, on one socket."""
        host, _, port = address.rpartition(":")
        return bindable(host.strip("[]") or "::", int(port), both=True) and (
            bool(host) or bindable("", int(port), both=True)
        )
