"""certbot, which asks the CA."""

from __future__ import annotations

import contextlib
import datetime
import email.utils
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from pairs import is_address
from sites import SETTINGS, NotAskedError, NotDoneError, Site

CERTBOT_SECONDS = 600
# What certbot says to a person at a terminal.
CHATTER = re.compile(
    r"^(Saving debug log|Account registered|Requesting a certificate|Renewing an existing|Some challenges have failed|"
    r"Ask for help|Plugins selected|An unexpected error occurred|- - -)"
)
# Let's Encrypt says it in words as well.
RETRY_AFTER = re.compile(r"retry after (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)", re.IGNORECASE)
# An answer in certbot's log that says when to come back (RFC 8555, 6.6), and those headers of it that come before the empty line.
REFUSAL = re.compile(r"Received response:\nHTTP (?:429|503)\n((?:.+\n)+)")
RETRY_AFTER_HEADER = re.compile(r"^Retry-After: *(.+)$", re.IGNORECASE | re.MULTILINE)


def certbot(site: Site, wanted: list[str], *options: str) -> None:
    """Have certbot ask the CA for a certificate for these names. Raises NotDoneError with the CA's own words."""
    if is_staging(site.settings["server"]) and site.issuer and not is_staging(site.issuer) and site.covered("acme"):
        raise NotAskedError(
            f"certificates_acme_staging: the site has a certificate of {site.issuer}, and no browser would trust the one of the "
            "test CA in its place. Set certificates_acme_staging to false; it is for a server that has no certificate yet."
        )
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
        raise NotDoneError(f"{', '.join(wanted)}: {reason}", until=told_until(site, reason))


def is_staging(server: str) -> bool:
    """Whether this is the directory URL of Let's Encrypt's test CA, as certbot sees it too."""
    return "staging" in server


def told_until(site: Site, reason: str) -> float:
    """Return before when a CA that refused does not want to be asked, in s since 1970; 0 where it did not say."""
    if match := RETRY_AFTER.search(reason):
        return datetime.datetime.fromisoformat(match[1]).replace(tzinfo=datetime.UTC).timestamp()
    log = ""
    with contextlib.suppress(OSError):
        log = (site.home / "logs/letsencrypt.log").read_text(errors="replace")
    for headers in reversed(REFUSAL.findall(log)):
        if match := RETRY_AFTER_HEADER.search(headers):
            if match[1].isdigit():
                return time.time() + int(match[1])
            with contextlib.suppress(ValueError):
                return email.utils.parsedate_to_datetime(match[1]).timestamp()
    return 0
