"""Look after the certificate of one site, on the server: VERB SITE.

prepare  make the folders, and the certificate where it signs itself
obtain   ask the CA, where the certificate lacks a name of the site
renew    what the site's timer runs: renew the certificate when it is time, fail where it was not renewed in time
load     have the web server read the certificate, if it has not yet: certbot's deploy hook
state    only look
forget   remove what there is of a site

Each but forget prints one line of JSON: {"changed": bool} and what Site.state() returns. What stops obtain, renew or load is
the `problem`, and on stderr, and the exit status is 1. The settings of a site are in SETTINGS: SITE.json for this program,
SITE.ini for certbot, and SITE.pem, the pair where one is provided. What is made is in HOME.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time

import clock
from addresses import astray
from asking import certbot
from pairs import left, names, self_signed, write
from sites import HOME, LATE, SETTINGS, NotAskedError, NotDoneError, Site, alone, refresh_nameless, waiting

# Let's Encrypt lets five validations of a name fail in an hour (https://letsencrypt.org/docs/rate-limits/).
PAUSE_SECONDS = 3600


def prepare(site: Site) -> bool:
    """Make what has to be there before the web server is configured; return whether anything was made."""
    changed = False
    # The web server's user has to reach the webroot.
    folders = [(HOME.parent, 0o755), (HOME, 0o755), (site.home, 0o755), (site.home / "webroot", 0o755)]
    for folder, mode in [*folders, (site.home / "acme", 0o700)]:
        if not folder.exists():
            folder.mkdir()
            folder.chmod(mode)
            changed = True
    with alone(site.home):
        if site.source == "selfsigned" and set(names(site.certificate)) != set(site.wanted):
            self_signed(site.wanted, site.pair("selfsigned").certificate)
            changed = True
        site.note("shown", source=site.shown)
    return refresh_nameless() or changed


def obtain(site: Site, *, retry: bool = False, renew: bool = False) -> bool:
    """Ask the CA where the certificate lacks a name, or in any case; return whether it gave one. Raises NotDoneError.

    retry: also where it has refused a moment ago. renew: also where no name lacks.
    """
    if site.complete() and not renew:
        return False
    refused = site.refusal
    if not retry and waiting(refused):
        raise NotDoneError(postponed(refused["reason"], refused["until"]))
    asked = {"names": sorted(site.wanted), "server": site.settings["server"]}
    try:
        if site.settings["check_addresses"] and (wrong := astray(site)):
            raise NotAskedError(
                f"app_domains: {'; '.join(wrong)}. Correct the A and AAAA records, or take the name out; the CA was not asked. Where "
                "a CDN or proxy in front leads here, set certificates_acme_check_addresses to false; where it has HTTPS itself, and asks this "
                'server over HTTP, set edge_tls to "off" and edge_trusted_proxies to its addresses.'
            )
        clock.check(site)
        certbot(site, site.wanted, "--force-renewal", "--renew-with-new-domains")
        if not site.complete():
            raise NotDoneError(
                f"certbot gave a certificate without a name that is wanted. Its log is in {site.home}/logs."
            )
    except NotAskedError as error:
        site.note("refused", reason=str(error), **asked)
        raise
    except NotDoneError as error:
        until = max(time.time() + PAUSE_SECONDS, error.until)
        site.note("refused", reason=str(error), until=until, **asked)
        raise NotDoneError(postponed(str(error), until)) from error
    site.forget("refused", "unrenewed")
    site.note("shown", source=site.shown)
    return True


def postponed(reason: str, until: float) -> str:
    """Return why the CA refused, and when it is asked again."""
    return (
        f"{reason} So as not to use up what the CA allows, it is not asked again before "
        f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime(until))} UTC. When the cause is gone: -e certificates_acme_retry=true"
    )


def renew(site: Site) -> bool:
    """Renew the certificate where it is time; return whether it was. Raises NotDoneError where it is late."""
    before = site.certificate
    covered = site.covered(site.source)
    if not before or not covered:
        return False
    due = left(before) <= LATE[site.source]
    try:
        if site.source == "selfsigned" and due:
            self_signed(site.wanted, site.pair("selfsigned").certificate)
        elif site.source == "acme" and not waiting(site.noted("unrenewed")):
            clock.check(site)
            # A name that the CA refused does not hold up the others, and one that is gone does not either.
            if set(covered) == set(names(before)):
                certbot(site, covered, "--force-renewal" if due else "--keep-until-expiring")
            elif left(before) <= 1 / 2:
                certbot(site, covered, "--force-renewal", "--renew-with-new-domains")
            site.forget("unrenewed")
    except NotDoneError as error:
        site.note("unrenewed", reason=str(error), until=error.until)
        if isinstance(error, clock.WrongClockError):
            raise
        if not due:
            print(f"{error} It is tried again: the certificate is good for a while.", file=sys.stderr)
    renewed = site.certificate != before
    if due and not renewed:
        raise NotDoneError(site.problem)
    return renewed


def load(site: Site) -> bool:
    """Have the web server read the pair, where it has not read this one; return whether it did. Raises NotDoneError."""
    if site.loaded():
        return False
    refresh_nameless()
    server, pair = site.settings["edge"], site.pair(site.shown)
    kept = site.home / "provided.pem"
    for command in (
        ["systemctl", "is-active", server["service"]],
        server["test"],
        ["systemctl", "reload", server["service"]],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = f"{server['service']} has not read the new certificate of {site.name}: {(done.stderr + done.stdout).strip()}"
            site.note("unloaded", reason=reason)
            if site.shown == "provided" and command == server["test"] and kept.exists():
                # With what it refuses it would not start again, after a reboot either.
                new = pair.certificate.read_bytes()
                write(pair.certificate, kept.read_bytes())
                if subprocess.run(command, capture_output=True, check=False).returncode:
                    write(pair.certificate, new)  # it is something else that is refused
                else:
                    refresh_nameless()
                    reason = f"certificates_provided_certificate: {reason} The pair before it is back in its place."
            raise NotDoneError(reason)
    if site.shown == "provided":
        write(kept, pair.certificate.read_bytes())
    site.note("loaded", digest=pair.digest)
    site.forget("unloaded")
    return True


def forget(name: str) -> None:
    """Remove the settings and the certificate of a site."""
    for file in SETTINGS.glob(f"{name}.*"):
        file.unlink()
    shutil.rmtree(HOME / name, ignore_errors=True)
    if HOME.exists():
        refresh_nameless()


def main() -> int:
    """Run the program; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["prepare", "obtain", "renew", "load", "state", "forget"])
    parser.add_argument("site")
    parser.add_argument("--retry", action="store_true", help="ask the CA although it refused a moment ago")
    parser.add_argument("--renew", action="store_true", help="ask it although the site has a certificate")
    arguments = parser.parse_args()
    os.umask(0o077)
    if arguments.verb == "forget":
        forget(arguments.site)
        return 0
    site = Site(arguments.site)
    changed, problem = False, ""
    try:
        if arguments.verb == "prepare":
            changed = prepare(site)
        elif arguments.verb == "load":  # certbot runs it, while renew or obtain holds the lock
            changed = load(site)
        elif arguments.verb != "state":
            with alone(site.home):
                # What an earlier run left undone comes first: while the web server reads nothing, the CA is not asked.
                changed = load(site)
                changed = (
                    obtain(site, retry=arguments.retry, renew=arguments.renew)
                    if arguments.verb == "obtain"
                    else renew(site)
                ) or changed
                changed = load(site) or changed
    except (NotDoneError, OSError) as error:
        # OSError: a full disk. What there was is still there, as files are replaced in one step.
        problem = str(error)
        print(problem, file=sys.stderr)
    state = site.state()
    print(json.dumps({**state, "changed": changed, "problem": problem or state["problem"]}))
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
