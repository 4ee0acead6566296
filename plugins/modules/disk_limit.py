#!/usr/bin/python
"""Limit what a user keeps on a disk; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: disk_limit
short_description: Limit how much a user keeps on a disk
description:
  - Sets the user's quota (quotactl(2)) on the file system that a folder is on, and switches its quotas on where they only count.
  - Where C(setquota) is not installed, or the file system is mounted without user quotas, taking a limit away changes nothing,
    and setting one fails; a dry run reports a change.
extends_documentation_fragment: [slipway.flask.attributes, slipway.flask.attributes.diff]
options:
  user: {description: Whose files., type: str, required: true}
  path: {description: A folder on the file system., type: path, required: true}
  kib: {description: "How much the user may own there, in KiB. 0 takes the limit away.", type: int, required: true}
  files: {description: "How many files the user may own there. 0 takes the limit away.", type: int, required: true}
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
author: Slipway (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Limit the application's disk space
  slipway.flask.disk_limit:
    user: guestbook
    path: /srv/guestbook/shared
    kib: "{{ '10G' | human_to_bytes // 1024 }}"
    files: 655360
"""

RETURN = r"""
disk: {description: Where the file system is mounted., type: str, returned: where quotas are enforced}
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

ENVIRONMENT = {**os.environ, "LC_ALL": "C", "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}
MOUNTED_WITH_QUOTAS = {"usrquota", "uquota", "usrjquota"}  # ext4(5), xfs(5)


class QuotaError(Exception):
    """What a quota program refused, in its own words."""


def run(*argv: str, codes: tuple[int, ...] = (0,)) -> str:
    """Run a program; return what it printed. Raises QuotaError at an exit code that is not in `codes`, or where it prints nothing with a code above 0."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=ENVIRONMENT)
    if done.returncode not in codes or (done.returncode and not done.stdout):
        raise QuotaError(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def disk_with_quotas(path: str) -> str:
    """Return where the file system of a folder is mounted, if it has user quotas; else ""."""
    if not Path(path).is_dir() or not shutil.which("setquota", path=ENVIRONMENT["PATH"]):
        return ""
    listed = run("findmnt", "--json", "--output", "TARGET,OPTIONS", "--target", path)
    found = json.loads(listed)["filesystems"][-1]  # what was mounted there last
    options = {option.partition("=")[0] for option in found["options"].split(",")}
    return str(found["target"]) if options & MOUNTED_WITH_QUOTAS else ""


def enforced(state: str) -> bool:
    """Tell from what `quotaon --print-state --verbose` says of a disk whether limits are enforced there, not only counted."""
    return any(line.endswith((" is on", " is on (enforced)")) for line in state.splitlines())


def limits(report: str) -> tuple[int, int, int, int]:
    """Return the limits in what `quota --verbose --no-wrap --raw-grace` says: KiB soft and hard, files soft and hard.

    Raises QuotaError where it says none.
    """
    try:
        # Disk, KiB (with a star above the soft limit), soft, hard, grace, files, soft, hard, grace.
        columns = report.splitlines()[-1].split()
        return int(columns[2]), int(columns[3]), int(columns[6]), int(columns[7])
    except (IndexError, ValueError) as error:
        raise QuotaError(f"quota does not say what the limits are: {report!r}") from error


def shown(limits: tuple[int, int, int, int], on: bool) -> str:
    """Return what a diff shows of the limits."""
    soft, hard, soft_files, hard_files = limits
    return f"{'enforced' if on else 'not enforced'}: KiB {soft}, {hard}; files {soft_files}, {hard_files}\n"


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "user": {"type": "str", "required": True},
            "path": {"type": "path", "required": True},
            "kib": {"type": "int", "required": True},
            "files": {"type": "int", "required": True},
        },
        supports_check_mode=True,
    )
    user, path, kib, files = (module.params[name] for name in ("user", "path", "kib", "files"))
    wanted = (kib, kib, files, files)
    unlimited = not any(wanted)
    after = shown(wanted, on=True)
    try:
        disk = disk_with_quotas(path)
        on = bool(disk) and enforced(run("quotaon", "--print-state", "--verbose", "--user", disk, codes=(0, 1)))
        if not on and (
            unlimited or module.check_mode
        ):  # before a first run neither the folder nor the program is there
            module.exit_json(changed=not unlimited, diff={"before": "", "after": "" if unlimited else after})
        if not disk:
            raise QuotaError(f"the file system of {path} is mounted without user quotas, or setquota is not installed")
        if not on:
            run("quotaon", "--user", disk)  # at each boot the package quota does it
        # quota(1) exits with 1 where a limit is reached.
        report = run(
            "quota", "--verbose", "--no-wrap", "--raw-grace", "--filesystem", disk, "--user", user, codes=(0, 1)
        )
        found = limits(report)
        if found != wanted and not module.check_mode:
            run("setquota", "--user", user, *map(str, wanted), disk)
    except QuotaError as error:
        module.fail_json(
            msg=f"app_disk_max: the files of {user} could not be limited: {error}. docs/security.md, Disk, says what the "
            'file system needs; set app_disk_max to "" for no limit.'
        )
    module.exit_json(changed=not on or found != wanted, disk=disk, diff={"before": shown(found, on), "after": after})


if __name__ == "__main__":
    main()
