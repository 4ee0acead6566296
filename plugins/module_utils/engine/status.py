#!/usr/bin/python
"""Say how an application is on this host; see DOCUMENTATION."""

from __future__ import annotations

import calendar
import json
import os
import re
import shutil
import socket
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.flask.plugins.module_utils.engine.deploy import Deploy
from ansible_collections.slipway.flask.plugins.module_utils.engine.release import Release, linked, now

DOCUMENTATION = r"""
module: release_status
short_description: Say how an application is on this host
description:
  - Looks at releases, programs, the log of deploys, the lock, the disk and the site's certificates. It takes no lock and
    changes nothing, so it may look while a deploy is under way; what a deploy removes meanwhile is left out.
options:
  home: {description: The application's folder., type: path, required: true}
  name: {description: The application's name., type: str, required: true}
  deploys: {description: How many of the last deploys to return., type: int, default: 5}
  site: {description: "The edge's file of the site; its certificates are those named there (C(ssl_certificate)).", type: path}
  maintenance_flag: {description: The file that exists while the site is in maintenance., type: path}
attributes:
  check_mode: {support: full}
author: Slipway
"""

EXAMPLES = r"""
- name: How the application is
  release_status:
    home: /srv/guestbook
    name: guestbook
    site: /etc/nginx/sites-enabled/guestbook
  register: status
"""

RETURN = r"""
status:
  description: All that is known. Times are in seconds since 1970, sizes in bytes; what is not known is null or empty.
  returned: always
  type: dict
  contains:
    time: {description: When this was looked at., type: int}
    host: {description: The host's own name., type: str}
    up_seconds: {description: Since the host's boot., type: int}
    load: {description: "Load of the last 1, 5 and 15 minutes.", type: list, elements: float}
    active: {description: Id of the release that has the traffic; empty where none has., type: str}
    previous: {description: Id of the release that had it before., type: str}
    releases:
      description: >-
        The latest first. Each has C(id), C(state) (active, previous, good, built, failed, building or unfinished),
        C(built), C(activated), C(source), C(reason) of a failure.
      type: list
      elements: dict
    programs:
      description: >-
        Of each release that runs. C(release), C(name), C(kind) (web, worker, timer, job), C(state) (running, waiting, stopped,
        failing), C(seconds) in that state, C(restarts), C(memory).
      type: list
      elements: dict
    deploys: {description: "The last lines of release.log, the latest first.", type: list, elements: dict}
    lock: {description: "Who holds the lock (C(who), C(host), C(since), C(verb), C(step)); null where nobody does.", type: dict}
    maintenance: {description: Since when the site is in maintenance; null where it is not., type: int}
    disk: {description: "C(total), C(used) and C(free) of the file system that the releases are on.", type: dict}
    memory: {description: "C(total) and C(available) of the host.", type: dict}
    certificates: {description: "C(path), C(until), C(problem).", type: list, elements: dict}
"""

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
    """Return what a process manager's unit is called by a person, and its type where it has one (service, timer).

    systemd's are <name>@<release>.service, <name>-<program>@<release>.timer; Supervisor's <name>-<release>-<program>.
    """
    stem, _, suffix = unit.rpartition(".") if unit.endswith((".service", ".timer")) else (unit, "", "")
    words = re.split("[@-]", stem.removeprefix(name))
    return "-".join(word for word in words if word not in ("", release)) or "web", suffix


def programs(home: Path, name: str, wanted: list[str]) -> list[dict[str, Any]]:
    """Return what runs, or should, of each release; its process manager says so, a line for each program."""
    found = []
    for release in (Release(home, one) for one in wanted):
        try:
            lines = release.instance("status").stdout.splitlines()
        except OSError:  # pruned meanwhile, or cut off before it had one
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


def certificates(module: AnsibleModule, site: str | None) -> list[dict[str, Any]]:
    """Return until when each certificate of the site is valid."""
    try:
        text = Path(site or "/nonexistent").read_text(errors="replace")
    except OSError:
        return []
    found: list[dict[str, Any]] = []
    for path in dict.fromkeys(NAMED_CERTIFICATE.findall(text)):
        command = ["openssl", "x509", "-noout", "-enddate", "-dateopt", "iso_8601", "-in", path]
        try:
            code, said, wrong = module.run_command(command, handle_exceptions=False)
        except OSError as error:
            code, said, wrong = 1, "", str(error)
        if code == 0:  # notAfter=2026-02-01 12:00:00Z
            until = calendar.timegm(time.strptime(said.strip().partition("=")[2], "%Y-%m-%d %H:%M:%SZ"))
            found.append({"path": path, "until": until, "problem": ""})
        else:
            found.append({"path": path, "until": None, "problem": (wrong.strip() or "unreadable").splitlines()[0]})
    return found


def memory() -> dict[str, int]:
    """Return what memory the host has, in bytes (proc_meminfo(5))."""
    rows = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    total, available = (int(rows[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    return {"total": total, "available": available}


def existing(path: Path) -> Path:
    """Return the path, or the nearest folder above it that exists."""
    return path if path.exists() else existing(path.parent)


def look(module: AnsibleModule) -> dict[str, Any]:
    """Return all that is known; the module's documentation says what."""
    params = module.params
    home = Path(params["home"])
    holder = Deploy(home, "").holder
    flag = Path(params["maintenance_flag"] or "/nonexistent")
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
        "programs": programs(home, params["name"], running),
        "deploys": deploys(home, params["deploys"]),
        "lock": {key: holder.get(key) for key in LOCK_FIELDS} if holder else None,
        "maintenance": round(flag.stat().st_mtime) if flag.exists() else None,
        "disk": {"total": disk.total, "used": disk.used, "free": disk.free},
        "memory": memory(),
        "certificates": certificates(module, params["site"]),
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "home": {"type": "path", "required": True},
            "name": {"type": "str", "required": True},
            "deploys": {"type": "int", "default": 5},
            "site": {"type": "path"},
            "maintenance_flag": {"type": "path"},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, status=look(module))


if __name__ == "__main__":
    main()
