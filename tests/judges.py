"""Run on a server: what the programs themselves say of the configuration that was made of drawn values.

judges.py FOLDER: in it a folder for each draw, with the files of a role in bin, and in plain/bin those of a harmless value of the
same shape. Prints {draw: complaint} as JSON.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import shown
from shown import said

POSTGRESQL = next(Path("/usr/lib/postgresql").iterdir())


def nginx(folder: Path) -> str:
    """nginx -t."""
    for name in ("mime.types", "modules-enabled"):
        (folder / name).symlink_to(Path("/etc/nginx", name))
    code, output = said("nginx", "-t", "-q", "-c", folder / "nginx.conf")
    return output if code else ""


def _directives(folder: Path) -> int:
    """Return how many directives Apache reads. Raises RuntimeError where it refuses them."""
    for name in ("mods-enabled", "mods-available"):
        (folder / name).symlink_to(Path("/etc/apache2", name))
    run = {f"APACHE_{name}": "/tmp" for name in ("RUN_DIR", "LOG_DIR", "LOCK_DIR")}
    run |= {"APACHE_PID_FILE": "/tmp/apache.pid", "APACHE_RUN_USER": "www-data", "APACHE_RUN_GROUP": "www-data"}
    code, output = said("apache2", "-d", folder, "-f", folder / "apache2.conf", "-t", "-D", "DUMP_CONFIG", **run)
    if code:
        raise RuntimeError(output)
    return sum(not line.lstrip().startswith("#") for line in output.splitlines())


def apache(folder: Path) -> str:
    """apachectl -t, and whether Apache reads as many directives as with harmless values."""
    counts = _directives(folder), _directives(folder.parent / "plain/bin")
    return "" if counts[0] == counts[1] else f"{counts[0]} directives, not {counts[1]}"


def postgresql(folder: Path) -> str:
    """postgres -C, which prints a setting as the server would have it: that it is the one that was drawn."""
    config = folder / "slipway.conf"
    for name, value in json.loads((folder.parent / "wanted.json").read_text()).items():
        code, output = said(
            POSTGRESQL / "bin/postgres",
            "-C",
            name,
            "-D",
            "/etc/postgresql/" + POSTGRESQL.name + "/main",
            "-c",
            f"config_file={config}",
        )
        if code:
            return output
        plain = (
            ", ".join(value) if isinstance(value, list) else {"True": "on", "False": "off"}.get(str(value), str(value))
        )
        if output.removesuffix("\n") != plain:
            return f"{name} is {output!r}, not {plain!r}"
    return ""


def systemd(folder: Path) -> str:
    """systemd-analyze verify, by the program that a release has for it."""
    code, output = said("sh", folder / "instance", "verify")
    return output if code else ""


def supervisor(folder: Path) -> str:
    """crontab -n, of the lines that a release has for cron. Debian's cron has a user in them."""
    for jobs in re.findall(
        r'file "\$cron/\$web" << \'END\'\n(.*?)^END$', (folder / "instance").read_text(), re.MULTILINE | re.DOTALL
    ):
        (folder / "crontab").write_text(jobs.replace(" root ", " "))
        code, output = said("crontab", "-n", folder / "crontab")
        if code:
            return output
    return ""


def connection_limit(folder: Path) -> str:
    """nft --check."""
    code, output = said("nft", "--check", "--file", folder / "rules.nft")
    return output if code else ""


def certificates(folder: Path) -> str:
    """The reader of configuration files that certbot uses."""
    import configargparse  # Debian's

    with (folder / "certbot.ini").open() as file:
        found = configargparse.DefaultConfigFileParser().parse(file)
    odd = [name for name, value in found.items() if not isinstance(value, str)]
    return f"not one value: {odd}" if odd or found["cert-name"] != "site" else ""


def unit(file: Path, text: str, part_of: str = "") -> str:
    """systemd-analyze verify, of a unit, or of a file that adds to one of Debian's."""
    if part_of:
        file.write_text(Path("/usr/lib/systemd/system", part_of).read_text())
        file = Path(f"{file}.d", "slipway.conf")
        file.parent.mkdir()
    file.write_text(text)
    verified = str(file.parent).removesuffix(".d") if part_of else file
    _, output = said("sh", "-c", 'systemd-analyze verify --man=no "$1" 2>&1', "sh", verified)
    return "".join(line for line in output.splitlines(keepends=True) if line.startswith(f"{file}:"))


def valkey(folder: Path) -> str:
    """systemd-analyze verify."""
    return unit(folder / "valkey-server@site.service", (folder / "unit.conf").read_text(), "valkey-server@.service")


def mail_relay(folder: Path) -> str:
    """systemd-analyze verify."""
    return unit(folder / "relay.service", (folder / "service").read_text())


JUDGES: dict[str, Callable[[Path], str]] = {
    judge.__name__: judge
    for judge in (
        nginx,
        apache,
        postgresql,
        systemd,
        supervisor,
        connection_limit,
        certificates,
        valkey,
        mail_relay,
    )
}


def judge(folder: Path) -> tuple[str, str]:
    """Return the name of a draw, and what is wrong with it."""
    role = (folder / "role").read_text()
    try:
        complaint = JUDGES[role](folder / "bin") if role in JUDGES else ""
        return folder.name, complaint or (shown.difference(role, folder) if role in shown.SHOWS else "")
    except Exception as error:  # it is what the test reports
        return folder.name, repr(error)


if __name__ == "__main__":
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        print(json.dumps(dict(pool.map(judge, sorted(Path(sys.argv[1]).iterdir())))))
