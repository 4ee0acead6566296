"""The few facts that the roles need, from the files that a server keeps them in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

FILES = ("/etc/os-release", "/etc/debian_version", "/proc/meminfo", "/proc/cpuinfo", "/proc/mounts")


def facts(files: Mapping[str, str]) -> dict[str, Any]:
    """Return facts as Ansible's own module setup names and values them.

    files: the text of each of FILES; "" of one that the server does not have. Debian and Raspbian are Debian, as they are to setup.
    """
    release = dict(re.findall(r'^(\w+)="?(.*?)"?$', files["/etc/os-release"], re.MULTILINE))
    is_debian = release.get("ID") in ("debian", "raspbian")
    major = release.get("VERSION_ID", "")
    memory = re.search(r"^MemTotal: *([0-9]+) kB", files["/proc/meminfo"], re.MULTILINE)
    return {
        "distribution": "Debian" if is_debian else release.get("NAME", "an unknown system"),
        "distribution_major_version": major.partition(".")[0],
        "distribution_version": files["/etc/debian_version"].strip() if is_debian else major,
        "memtotal_mb": int(memory[1]) // 1024 if memory else 0,
        "processor_vcpus": len(re.findall(r"^processor\s*:", files["/proc/cpuinfo"], re.MULTILINE)),
        "mounts": [
            dict(zip(("device", "mount", "fstype", "options"), line.split(), strict=False))
            for line in files["/proc/mounts"].splitlines()
            if line.startswith("/")
        ],
    }
