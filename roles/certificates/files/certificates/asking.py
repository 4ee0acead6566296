"""certbot, which asks the CA."""

from __future__ import annotations

import datetime
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from pairs import is_address
from sites import SETTINGS, NotDoneError, Site

CERTBOT_SECONDS = 600
# What certbot says to a person at a terminal.
CHATTER = re.compile(
    r"^(Saving debug log|Account registered|Requesting a certificate|Renewing an existing|Some challenges have failed|"
    r"Ask for help|Plugins selected|An unexpected error occurred|- - -)"
)
RETRY_AFTER = re.compile(r"retry after (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)", re.IGNORECASE)


def certbot(site: Site, wanted: list[str], *options: str) -> None:
    """Have certbot ask the CA for a certificate for these names. Raises NotDoneError with the CA's own words."""
    lineage = site.home / "acme"
    if not site.pair("acme").certificate.exists():
        # What a run left that was cut off: certbot would begin another one next to it.
        (lineage / "renewal/site.conf").unlink(missing_ok=True)
        for folder in ("live/site", "archive/site"):
            shutil.rmtree(lineage / folder, ignore_errors=True)
    command = [str(Path(sys.executable).with_name("certbot")), "certonly", *options]
    command += ["--config", str(SETTINGS / f"{site.name}.ini")]
    for name in wanted:
        command += ["--ip-address" if is_address(name) else "--domain", name]
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    if bundle := site.settings["ca_bundle"]:
        environment["REQUESTS_CA_BUNDLE"] = bundle
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            timeout=CERTBOT_SECONDS,
            stdin=subprocess.DEVNULL,
        )
        status, said = done.returncode, done.stdout + done.stderr
    except subprocess.TimeoutExpired:
        status, said = 1, f"the CA did not answer within {CERTBOT_SECONDS} s"
    if status:
        reason = " ".join(line.strip() for line in said.splitlines() if line.strip() and not CHATTER.match(line))
        raise NotDoneError(f"{', '.join(wanted)}: {reason}")


def told_until(reason: str) -> float:
    """Return before when a CA that refused does not want to be asked, in s since 1970; 0 where it did not say."""
    if match := RETRY_AFTER.search(reason):
        return datetime.datetime.fromisoformat(match[1]).replace(tzinfo=datetime.UTC).timestamp()
    return 0
