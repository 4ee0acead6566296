"""What programs say of the configuration that is made of drawn values: `make test-values`, on a throwaway server.

SLIPWAY_DRAWS: how many values are drawn for each role. SLIPWAY_SEED: which; the output has it.
"""

from __future__ import annotations

import collections
import io
import json
import os
import random
import subprocess
import sys
import tarfile
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

import drawn
from plugin import ROOT

DRAWS = int(os.environ.get("SLIPWAY_DRAWS") or 300)
SEED = int(os.environ.get("SLIPWAY_SEED") or random.randrange(1_000_000))  # not for secrets
SERVER = "values"
JUDGED = [
    "apache",
    "certificates",
    "connection_limit",
    "nginx",
    "postgresql",
    "supervisor",
    "systemd",
]  # tests/judges.py
PACKAGES = "nginx libnginx-mod-http-brotli-filter libnginx-mod-http-brotli-static apache2 postgresql cron nftables tini"
MODULES = "authz_core buffer deflate brotli env filter headers http2 info lua mime mpm_event proxy proxy_http remoteip reqtimeout"
PREPARE = f"""
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -yqq --no-install-recommends {PACKAGES} python3-configargparse > /dev/null
a2enmod --quiet {MODULES} rewrite setenvif socache_shmcb ssl authn_core authn_file authz_host authz_user auth_basic > /dev/null
a2dismod --quiet --force alias autoindex negotiation status > /dev/null
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=site -keyout /tmp/key -out /tmp/certificate 2> /dev/null
for file in /etc/ssl/site.pem /harmless.pem; do cat /tmp/certificate /tmp/key > $file; done
"""
# What is theirs to judge: a regular expression, a setting, a directive. They name what they do not take, and it is not put in place.
MEANING = (
    *(
        "invalid parameter",
        "unrecognized configuration parameter",
        "invalid value for parameter",
        "pcre2_compile() failed",
    ),
    *("Regular expression could not be compiled", "systemd would ignore", "conflicting"),
)


def tools(*arguments: str, told: bytes = b"") -> bytes:
    """Run the tool for throwaway servers; return what it prints."""
    command = [sys.executable, str(ROOT / "tools/servers"), *arguments]
    return subprocess.run(command, check=True, input=told, stdout=subprocess.PIPE).stdout


def draw(role: str, archive: tarfile.TarFile, counts: collections.Counter[str]) -> dict[str, str]:
    """Draw values for a role, and put the files that are made of them into an archive; return what each folder has."""
    found: dict[str, str] = {}

    @seed(SEED)
    @settings(
        max_examples=DRAWS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(drawn.draws(role))
    def add(one: tuple[str, Any]) -> None:
        name, value = one
        counts[f"{role}: drawn"] += 1
        made = drawn.made(role, name, value)
        if made is None:
            counts[f"{role}: refused"] += 1
            return
        assert not made.wrong, f"{name}: {value!r} in {made.wrong}"
        folder = f"{role}-{len(found)}"
        found[folder] = f"{name}: {value!r}"
        wanted = value if name == "postgresql_settings" else {}
        files = {f"plain/{path}": text for path, text in made.plain.items()} | made.files
        for path, text in {**files, "role": role, "wanted.json": json.dumps(wanted)}.items():
            entry = tarfile.TarInfo(f"draws/{folder}/{path}")
            content = text.encode()
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))

    add()
    return found


def test_programs_read_one_value_where_one_was_set() -> None:
    counts: collections.Counter[str] = collections.Counter()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        found = {folder: said for role in JUDGED for folder, said in draw(role, archive, counts).items()}
        archive.add(ROOT / "tests/judges.py", "judges.py")
    tools("up", SERVER, "--debian", "trixie")
    try:
        tools("ssh", SERVER, "sh", "-es", told=PREPARE.encode())
        tools("ssh", SERVER, "tar", "-xzf", "-", "-C", "/srv", told=buffer.getvalue())
        answer = tools("ssh", SERVER, "python3", "/srv/judges.py", "/srv/draws")
    finally:
        tools("down", SERVER)
    said = {folder: complaint for folder, complaint in json.loads(answer).items() if complaint}
    theirs = {folder for folder, complaint in said.items() if any(word in complaint for word in MEANING)}
    print(f"SLIPWAY_SEED={SEED}", *(f"{name} {count}" for name, count in counts.items()), sep="\n")
    print(f"{len(found)} configurations were judged; of {len(theirs)} a program did not take the meaning")
    wrong = [f"{found[folder]}: {complaint[-600:]}" for folder, complaint in said.items() if folder not in theirs]
    assert not wrong, "\n".join(wrong)
