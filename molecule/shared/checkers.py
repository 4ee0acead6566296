"""Checkers from outside, asked of a server's edge: testssl.sh, sslyze, gixy and httplint.

testssl.sh is Debian 13's, on the authority's server (molecule/shared/authority); the others are in a virtualenv of their own
(`make checkers`, molecule/shared/checkers/requirements.txt).
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from testinfra.host import Host

from probe import ROOT

PROGRAMS = ROOT / ".venv-checkers/bin"
# Mozilla's own file (https://ssl-config.mozilla.org/guidelines/6.0.json).
GUIDELINE = json.loads(Path(__file__).with_name("checkers").joinpath("mozilla-6.0.json").read_text())
# What gixy finds and is right: for each finding, why.
GIXY = {
    "ssl_ecdh_curve": "nginx of Debian 13 is linked to OpenSSL 3.5; others get a list without it (roles/edge/vars/tls.yml)",
    "filesystem_root_exposure": "each path of that try_files begins with a folder of static files",
    "http2_misdirected_request": "an unknown host gets nothing (444) where it asks inside another's connection, too",
    "try_files_is_evil_too": "an open file cache would send files of the release before the last switch",
}


def testssl(authority: Host, address: str, domain: str, root: str) -> dict[str, str]:
    """Return what testssl.sh found of a server: id -> "SEVERITY finding". root: the CA that is trusted, as PEM."""
    authority.check_output("printf %%s %s > /root/root.pem", root)
    ran = authority.run(
        "rm -f /root/testssl.json; testssl --quiet --color 0 --warnings batch --ip %s --add-ca /root/root.pem "
        "--jsonfile /root/testssl.json https://%s/ < /dev/null",
        address,
        domain,
    )
    said = authority.run("cat /root/testssl.json").stdout
    assert said, ran.stdout + ran.stderr
    return {one["id"]: f"{one['severity']} {one['finding']}" for one in json.loads(said)}


def sslyze(address: str, domain: str, root: str, profile: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Compare a server with a profile of the guideline; the exit code says whether it complies. root: as PEM."""
    settings: dict[str, Any] = GUIDELINE["configurations"][profile]
    # Two lists that sslyze wants and does not read.
    settings = {**settings, "ciphers": {**settings["ciphers"], "caddy": [], "go": []}}
    (folder / "profile.json").write_text(json.dumps(settings))
    (folder / "root.pem").write_text(root)
    return subprocess.run(
        [
            PROGRAMS / "sslyze",
            f"--custom_tls_config={folder / 'profile.json'}",
            f"--certinfo_ca_file={folder / 'root.pem'}",
            f"{domain}:443{{{address}}}",
        ],
        capture_output=True,
        text=True,
        check=False,
    )


def gixy(host: Host, folder: Path) -> list[dict[str, Any]]:
    """Return what gixy finds in a server's whole nginx configuration (nginx -T), but for what is right."""
    dump = folder / "nginx.conf"
    dump.write_text(host.check_output("nginx -T 2>/dev/null"))
    ran = subprocess.run([PROGRAMS / "gixy", "--format=json", dump], capture_output=True, text=True, check=False)
    found: list[dict[str, Any]] = json.loads(ran.stdout)
    # Of the two ways in the pattern of files at the root of a domain, one begins with a dot and the other does not.
    of_the_root = [one for one in found if one["plugin"] == "regex_redos" and r"|\.well-known/" in one["config"]]
    return [one for one in found if one["plugin"] not in GIXY and one not in of_the_root]


def httplint(message: bytes) -> dict[str, str]:
    """Return what httplint says of a response as it came over the wire (HTTP/1.1): note -> GOOD, INFO, WARN or BAD."""
    ran = subprocess.run([PROGRAMS / "httplint", "--now"], input=message, capture_output=True, check=True)
    return {text: level for level, text in re.findall(r"^\s*\* \[(\w+)\] (.*)$", ran.stdout.decode(), re.MULTILINE)}
