"""The status of an application on this host: only reads, takes no lock, and changes nothing."""

from __future__ import annotations

import calendar
import json
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from ansible_collections.slipway.flask.plugins.module_utils.engine.files import linked
from ansible_collections.slipway.flask.plugins.module_utils.engine.lock import Deploy
from ansible_collections.slipway.flask.plugins.module_utils.engine.record import Release, now

LOCK_FIELDS = ("who", "host", "since", "verb", "step", "id", "source")
# A line of the log is some 300 bytes.
BYTES_OF_A_LOG_LINE = 4096
NAMED_CERTIFICATE = re.compile(r"""^\s*(?:ssl_certificate|SSLCertificateFile)\s+["']?([^\s;"']+)""", re.MULTILINE)


def releases(home: Path, lock: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what is known of each release, the latest first."""
    active, previous = linked(home / "current"), linked(home / "previous")
    found = []
    for path in (home / "releases").glob("[0-9a-f]*"):
        release = Release(home, path.name)
        record = release.record
        state = "unfinished"  # a build was cut off
        if path.name == active:
            state = "active"
        elif path.name == lock.get("id") and not record:
            state = "building"
        elif path.name == previous and release.good:
            state = "previous"
        elif record:
            state = "good" if release.good else str(record.get("state", "unfinished"))
        facts = {key: record.get(key) for key in ("built", "activated", "failed", "source", "reason")}
        found.append({"id": path.name, "state": state, **facts})
    return sorted(
        found, key=lambda one: max(one["activated"] or 0, one["built"] or 0, one["failed"] or 0) or now(), reverse=True
    )


def program(name: str, release: str, unit: str) -> tuple[str, str]:
    """Return the readable name of a process manager's unit, and its type where it has one (service, timer).

    systemd's are <name>@<release>.service, <name>-<program>@<release>.timer; Supervisor's <name>-<release>-<program>.
    """
    stem, _, suffix = unit.rpartition(".") if unit.endswith((".service", ".timer")) else (unit, "", "")
    words = re.split("[@-]", stem.removeprefix(name))
    return "-".join(word for word in words if word not in ("", release)) or "web", suffix


def programs(home: Path, name: str, wanted: list[str]) -> list[dict[str, Any]]:
    """Return what runs, or should run, of each release, as its process manager reports it: a line for each program."""
    found = []
    for release in (Release(home, one) for one in wanted):
        try:
            lines = release.instance("status").stdout.splitlines()
        except OSError:  # pruned in the meantime, or cut off before it had one
            continue
        rows = [line.split("\t") for line in lines if line.count("\t") == 4]
        named = [(*program(name, release.id, row[0]), *row[1:]) for row in rows]
        timers = {short for short, suffix, *_ in named if suffix == "timer"}
        for short, suffix, state, seconds, restarts, memory in named:
            kind = "timer" if suffix == "timer" else "job" if short in timers else "web" if short == "web" else "worker"
            found.append(
                {
                    "release": release.id,
                    "name": short,
                    "kind": kind,
                    "state": state,
                    "seconds": int(seconds),
                    "restarts": int(restarts),
                    "memory": int(memory),
                }
            )
    return found


def deploys(home: Path, count: int) -> list[dict[str, Any]]:
    """Return the last deploys, the latest first; a line that is cut off is left out."""
    try:
        with (home / "release.log").open("rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - count * BYTES_OF_A_LOG_LINE))
            lines = log.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in reversed(lines):
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        found.append(entry)
    return found[:count]


def certificates(site: str | None) -> list[dict[str, Any]]:
    """Return from when and until when each certificate of the site is valid, in s since 1970."""
    try:
        text = Path(site or "/nonexistent").read_text(errors="replace")
    except OSError:
        return []
    found: list[dict[str, Any]] = []
    for path in dict.fromkeys(NAMED_CERTIFICATE.findall(text)):
        command = ["openssl", "x509", "-noout", "-dates", "-dateopt", "iso_8601", "-in", path]
        try:
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError) as error:
            wrong = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else str(error)
            found.append(
                {"path": path, "from": None, "until": None, "problem": (wrong or "unreadable").splitlines()[0]}
            )
        else:  # notBefore=2026-01-01 12:00:00Z, then notAfter=2026-04-01 12:00:00Z
            begin, until = (
                calendar.timegm(time.strptime(line.partition("=")[2], "%Y-%m-%d %H:%M:%SZ"))
                for line in said.splitlines()
            )
            found.append({"path": path, "from": begin, "until": until, "problem": ""})
    return found


def memory() -> dict[str, int]:
    """Return what memory the host has, in bytes (proc_meminfo(5))."""
    rows = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    total, available = (int(rows[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    return {"total": total, "available": available}


def existing(path: Path) -> Path:
    """Return the path, or the nearest folder above it that exists."""
    return path if path.exists() else existing(path.parent)


def look(home: Path, name: str, *, site: str | None, maintenance_flag: str | None, count: int) -> dict[str, Any]:
    """Return all that is known; the module release_status says what.

    site: the edge's file of the site. maintenance_flag: the file that exists during maintenance. count: of last deploys.
    """
    holder = Deploy(home, "").holder
    flag = Path(maintenance_flag or "/nonexistent")
    known = releases(home, holder)
    active = linked(home / "current")
    running = [one["id"] for one in known if one["id"] == active or Release(home, one["id"]).record.get("running")]
    disk = shutil.disk_usage(existing(home))
    return {
        "time": now(),
        "host": socket.gethostname(),
        "up_seconds": int(float(Path("/proc/uptime").read_text().split()[0])),
        "load": [round(load, 2) for load in os.getloadavg()],
        "active": active,
        "previous": linked(home / "previous"),
        "releases": known,
        "pages": bool(active) and Release(home, active).is_pages,
        "programs": programs(home, name, running),
        "deploys": deploys(home, count),
        "lock": {key: holder.get(key) for key in LOCK_FIELDS} if holder else None,
        "maintenance": round(flag.stat().st_mtime) if flag.exists() else None,
        "disk": {"total": disk.total, "used": disk.used, "free": disk.free},
        "memory": memory(),
        "certificates": certificates(site),
    }
