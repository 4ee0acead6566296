"""How nginx tests a configuration, and which ones it accepts that cannot work."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.slipway.flask.plugins.module_utils.edge.files import EdgeFiles
from ansible_collections.slipway.flask.plugins.module_utils.edge.ports import bindable, holders

LISTEN = re.compile(r"^\s*listen\s+([^\s;]+)(\s+quic)?", re.MULTILINE)
QUIC = " quic"  # HTTP/3, on UDP
SAME_NAME = re.compile(r'conflicting server name "[^"]*" on \S+(?=,)')


class Nginx(EdgeFiles):
    """The files of one nginx, and the wanted content of some of them."""

    program = "nginx"
    role = "nginx"

    def orphans(self) -> Iterator[str]:
        """Yield the files for unknown hosts whose address no site will listen on any more."""
        folder, _, prefix = self.module.params["unknown_hosts"].rpartition("/")
        texts = self.texts(folder, prefix).values()
        heard = {f"{address}{'-quic' if quic else ''}" for text in texts for address, quic in LISTEN.findall(text)}
        for file in sorted((self.root / folder).glob("*")):
            if file.is_file() and file.name.startswith(prefix) and file.name.removeprefix(prefix) not in heard:
                yield str(file.relative_to(self.root))

    def sites(self, unknown_hosts: str) -> list[str]:
        """Return the names of nginx's sites; an administrator may have put one into conf.d."""
        others = self.texts("conf.d", ".").items()
        return super().sites(unknown_hosts) + [Path(path).stem for path, text in others if LISTEN.search(text)]

    def judge(self, folder: Path) -> tuple[bool, str]:
        """Have nginx test the configuration in a folder; return if it passes, and what it said.

        Relative includes are looked up next to the nginx.conf that is tested (nginx(8), -c).
        """
        command = [self.binary, "-t", "-c", str(folder / "nginx.conf")]
        # The test makes log files that are new: like the package's own, they are not for everybody.
        code, _, said = self.module.run_command(command, umask=0o027)
        return code == 0, said.strip().replace(str(folder), str(self.root))

    def clashes(self, said: str) -> set[str]:
        """Return nginx's warnings of server names that two sites claim."""
        return set(SAME_NAME.findall(said))

    def free(self, address: str) -> bool:
        """Whether nginx could listen on an address now; [::]:80 is IPv6 alone (ngx_http_core_module, listen)."""
        host, _, port = address.rpartition(":")
        return bindable(host.strip("[]"), int(port), both=False)

    def taken(self, address: str) -> str:
        """Return which other program has a port; one of HTTP/3 is "443 quic"."""
        if not address.endswith(QUIC):
            return super().taken(address)
        host, _, port = address.removesuffix(QUIC).rpartition(":")
        if bindable(host.strip("[]"), int(port), both=False, udp=True):
            return ""
        others = holders(int(port), udp=True)
        return "" if any(name.startswith("nginx ") for name in others) else ", ".join(others)
