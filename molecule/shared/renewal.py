"""The renewal of a site's certificate, as its timer starts it, with a clock of its own (faketime): the server's is not touched."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from testinfra.host import Host

DAY_SECONDS = 86400
PROGRAM = "/opt/slipway/certbot/bin/python /usr/local/lib/slipway/certificates/look_after.py"
# The unit starts the program by what is in CLOCK.
CLOCK = "/run/slipway-clock"
FOLDER = "/run/systemd/system/slipway-certificate@{}.service.d"


@dataclass(frozen=True)
class Outcome:
    """What became of a renewal. code: 0, or 1 where the unit failed. state: what the program says of itself afterwards."""

    code: int
    log: str
    state: dict[str, Any]


class Renewal:
    """The renewal of one site's certificate on one server."""

    def __init__(self, host: Host, site: str = "site") -> None:
        self.host, self.site = host, site
        self.unit = f"slipway-certificate@{site}"

    def set(self, seconds: float, limit: str = "true") -> None:
        """Have the clock so far ahead of the server's. limit: what the shell does before it starts the program, such as ulimit -f 0."""
        folder = FOLDER.format(self.site)
        start = f"[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=\nExecStart=/bin/sh {CLOCK} renew {self.site}\n"
        clock = f'exec /usr/bin/faketime -f {seconds:+.0f}s /bin/sh -c \'{limit}; exec {PROGRAM} "$@"\' sh "$@"\n'
        self.host.check_output(
            "printf %%s %s > %s; [ -e %s ] || { mkdir -p %s; printf %%s %s > %s; systemctl daemon-reload; }",
            clock,
            CLOCK,
            f"{folder}/clock.conf",
            folder,
            start,
            f"{folder}/clock.conf",
        )

    def reset(self) -> None:
        """Have the server's own clock again."""
        folder = FOLDER.format(self.site)
        self.host.check_output(
            f"rm -rf {folder} {CLOCK}; systemctl daemon-reload; systemctl reset-failed 'slipway-certificate@*'"
        )

    def tick(self) -> Outcome:
        """Let the renewal run now."""
        code = self.host.run(f"systemctl start {self.unit}").rc
        return self.outcome(code)

    def outcome(self, code: int) -> Outcome:
        """Return what became of the last renewal."""
        text = self.host.check_output(
            f"journalctl --sync; state=$(/bin/sh {CLOCK} state {self.site}); printf '%s\\n' \"$state\"; "
            f"journalctl _SYSTEMD_INVOCATION_ID=$(systemctl show --property=InvocationID --value {self.unit}) --output=cat --no-pager"
        )
        state, _, log = str(text).partition("\n")
        return Outcome(code, log, json.loads(state))

    def failed(self) -> bool:
        """Whether the unit is one that systemd shows as failed."""
        return bool(self.host.run(f"systemctl is-failed --quiet {self.unit}").rc == 0)
