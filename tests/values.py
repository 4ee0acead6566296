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
import rendered
from plugin import ROOT

DRAWS = int(os.environ.get("SLIPWAY_DRAWS") or 300)
SEED = int(os.environ.get("SLIPWAY_SEED") or random.randrange(1_000_000))  # not for secrets
SERVER = "values"
JUDGED = [role for role in drawn.ROLES if role != "app"]  # whose files shells read, which tests/readers.py runs
PACKAGES = (
    "nginx libnginx-mod-http-brotli-filter libnginx-mod-http-brotli-static apache2 libapache2-mod-wsgi-py3 postgresql "
    "cron nftables tini supervisor valkey-server postfix python3-configargparse python3-venv"
)
APP_SERVERS = {"pyuwsgi": "uwsgi", "granian": "granian", "gunicorn": "gunicorn"}
MODULES = "authz_core buffer deflate brotli env filter headers http2 info lua mime mpm_event proxy proxy_http remoteip reqtimeout"
PREPARE = f"""
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -yqq --no-install-recommends {PACKAGES} > /dev/null
python3 -m venv /srv/tools
/srv/tools/bin/pip install --quiet {" ".join(f"{name}=={rendered.default(role, role + '_version')}" for name, role in APP_SERVERS.items())}
a2enmod --quiet {MODULES} rewrite setenvif socache_shmcb ssl authn_core authn_file authz_host authz_user auth_basic > /dev/null
a2dismod --quiet --force alias autoindex negotiation status > /dev/null
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=site -keyout /tmp/key -out /tmp/certificate 2> /dev/null
for file in /etc/ssl/site.pem /harmless.pem; do cat /tmp/certificate /tmp/key > $file; done
"""
# What is theirs to judge: a regular expression, a setting, a directive, a number that is too small, a file that is not there. They
# name what they do not take, and it is not put in place.
MEANING = (
    *(
        "invalid parameter",
        "unrecognized configuration parameter",
        "invalid value for parameter",
        "pcre2_compile() failed",
    ),
    *("Regular expression could not be compiled", "systemd does not take", "conflicting"),
    *("click.exceptions", "WSGI daemon process", "Invalid value for", "supervisord does not take it"),
    *("worker_connections are not enough", "cannot load certificate", "does not exist or is empty"),
)

# What free text could add to a file of each role where nobody looks, (role, file, after what, text): the programs have to tell it.
SPOILED = [
    ("apache", "apache2.conf", "", "\nTimeout 7\n"),
    ("certificates", "certbot.ini", "", "\nwork-dir = [a, b]\n"),
    ("connection_limit", "rules.nft", "", "\nevil\n"),
    ("granian", "serve", "set -- --interface wsgi", " --reload"),
    ("gunicorn", "gunicorn.conf.py", "", "\nproc_name = 'evil'\n"),
    ("mail_relay", "main.cf", "", "\nalways_bcc = evil@example.org\n"),
    ("mail_relay", "password", "word", " more"),
    ("mod_wsgi", "mod_wsgi.conf", "", "\nKeepAlive Off\n"),
    ("nginx", "nginx.conf", "", "\n}\n"),
    ("postgresql", "slipway.conf", "", "\nhar.mless = 'evil'\n"),
    ("supervisor", "instance", "[program:", "evil]\ncommand=true\n[program:"),
    ("systemd", "instance", "[Service]\n", "ExecStart=/bin/true\n"),
    ("uwsgi", "uwsgi.ini", "[settings]\n", "harakiri = 1\n"),
    ("valkey", "unit.conf", "[Service]\n", "User\n"),
    ("valkey", "valkey.conf", "", "\nmaxclients 7\n"),
]


def tools(*arguments: str, told: bytes = b"") -> bytes:
    """Run the tool for throwaway servers; return what it prints."""
    command = [sys.executable, str(ROOT / "tools/servers"), *arguments]
    return subprocess.run(command, check=True, input=told, stdout=subprocess.PIPE).stdout


def put(archive: tarfile.TarFile, folder: str, role: str, made: drawn.Made, wanted: dict[str, Any]) -> None:
    """Put files of a role into a folder of an archive. wanted: settings that PostgreSQL should have."""
    files = {f"plain/bin/{path}": text for path, text in made.plain.items()}
    files |= {f"bin/{path}": text for path, text in made.files.items()}
    told = {"role": role, "wanted.json": json.dumps(wanted), "instead.json": json.dumps(made.instead)}
    for path, text in {**files, **told}.items():
        entry = tarfile.TarInfo(f"draws/{folder}/{path}")
        content = text.encode()
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))


def spoil(archive: tarfile.TarFile) -> list[str]:
    """Put SPOILED into an archive; return the folders."""
    folders = []
    for role, file, after, text in SPOILED:
        wanted = {"har.mless": "good"} if role == "postgresql" else {}
        plain = rendered.files(role, {"postgresql_settings": wanted} if wanted else {})
        before, found, rest = plain[file].partition(after) if after else (plain[file], "", "")
        assert found == after, f"{file} of {role} has no {after!r}"
        made = drawn.Made(plain | {file: before + found + text + rest}, plain, {}, "")
        folders.append(f"spoiled-{role}-{file}")
        put(archive, folders[-1], role, made, wanted)
    return folders


def draw(role: str, archive: tarfile.TarFile, counts: collections.Counter[str], wrong: list[str]) -> dict[str, str]:
    """Draw values for a role, and put the files that are made of them into an archive; return what each folder has.

    wrong: gets what tests/readers.py reads otherwise than it should.
    """
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
        if made.wrong:
            wrong.append(f"{name}: {value!r} in {made.wrong}")
            return
        folder = f"{role}-{len(found)}"
        found[folder] = f"{name}: {value!r}"
        wanted = value if name == "postgresql_settings" else {}
        put(archive, folder, role, made, wanted)

    add()
    return found


def test_programs_read_one_value_where_one_was_set() -> None:
    counts: collections.Counter[str] = collections.Counter()
    wrong: list[str] = []
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        found = {folder: said for role in JUDGED for folder, said in draw(role, archive, counts, wrong).items()}
        spoiled = spoil(archive)
        for program in ("judges.py", "shown.py"):
            archive.add(ROOT / "tests" / program, program)
    tools("up", SERVER, "--debian", "trixie")
    try:
        tools("ssh", SERVER, "sh", "-es", told=PREPARE.encode())
        tools("ssh", SERVER, "tar", "-xzf", "-", "-C", "/srv", told=buffer.getvalue())
        answer = tools("ssh", SERVER, "python3", "/srv/judges.py", "/srv/draws")
    finally:
        tools("down", SERVER)
    said = {folder: complaint for folder, complaint in json.loads(answer).items() if complaint}
    assert [folder for folder in spoiled if not said.pop(folder, "")] == []
    theirs = {folder for folder, complaint in said.items() if any(word in complaint for word in MEANING)}
    print(f"SLIPWAY_SEED={SEED}", *(f"{name} {count}" for name, count in counts.items()), sep="\n")
    print(f"{len(found)} configurations were judged; of {len(theirs)} a program did not take the meaning")
    wrong += [f"{found[folder]}: {complaint[-600:]}" for folder, complaint in said.items() if folder not in theirs]
    assert not wrong, "\n".join(wrong)
