#!/usr/bin/python
"""Take an application off this host; see DOCUMENTATION."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
import signal
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.flask.plugins.module_utils.engine import release, sandbox
from ansible_collections.slipway.flask.plugins.module_utils.engine.deploy import Deploy
from ansible_collections.slipway.flask.plugins.module_utils.engine.release import ReleaseError
from ansible_collections.slipway.flask.plugins.module_utils.engine.traffic import Traffic

DOCUMENTATION = r"""
module: release_remove
short_description: Take an application off this host
description:
  - Stops every program of every release, and removes the releases, the sockets' folder, and the users with their groups.
  - What cannot be made again is moved to O(kept), where root alone may read it, namely what visitors uploaded (C(shared)),
    the secret key, and the log of deploys.
  - Does nothing where there is no such application; a user, or a folder in /run, that is not the application's own is left.
options:
  home: {description: The application's folder., type: path, required: true}
  run: {description: Folder of the sockets., type: path, required: true}
  name: {description: The application's name., type: str, required: true}
  user: {description: The application's user., type: str, required: true}
  kept: {description: Folder to make for what is kept., type: path, required: true}
  lock: {description: What M(release_lock) returned as C(run)., type: str}
attributes:
  check_mode: {support: full}
author: Slipway
"""

EXAMPLES = r"""
- name: The application is gone
  release_remove:
    home: /srv/guestbook
    run: /run/guestbook
    name: guestbook
    user: guestbook
    kept: /var/backups/slipway/guestbook-20260201T120000
    lock: "{{ lock.run }}"
"""

RETURN = r"""
folder: {description: O(kept)., type: str, returned: always}
kept: {description: "What was, or in a dry run would be, moved to O(kept).", type: list, elements: str, returned: always}
"""

ATTEMPTS = 100
PRECIOUS = ("shared", "secret_key", "release.log")


def own_users(params: dict[str, Any]) -> list[str]:
    """Return which of the application's users there are; that they are its own is told by their homes."""
    homes = {params["user"]: f"{params['home']}/shared", f"{params['user']}-build": f"{params['home']}/build"}
    return [user.pw_name for user in pwd.getpwall() if homes.get(user.pw_name) == user.pw_dir]


def precious(home: Path) -> list[str]:
    """Return what of the application's folder is to be kept; shared folders without a file in them are not."""
    found = [name for name in PRECIOUS if os.path.lexists(home / name)]
    first_file = ["find", str(home / "shared"), "!", "-type", "d", "-print", "-quit"]
    if "shared" in found:
        looked = subprocess.run(first_file, capture_output=True, check=False)
        if looked.returncode == 0 and looked.stdout == b"":
            found.remove("shared")
    return found


def mounts(home: Path) -> list[str]:
    """Return what is mounted below a folder: it would be emptied, or not be moved (proc_pid_mountinfo(5), field 5)."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in points if point.startswith(f"{home.resolve()}/")]


def keep(home: Path, names: list[str], folder: Path) -> None:
    """Move what is to be kept, with its owners and times. Raises ReleaseError where that fails: then it is still there."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700)
    for name in names:
        done = subprocess.run(["mv", home / name, folder / name], capture_output=True, text=True, check=False)
        if done.returncode:
            raise ReleaseError(
                f"{home / name} could not be moved to {folder}, so nothing was removed but the programs were stopped: "
                f"{done.stderr.strip()}. Mend that and run this again; site.yml brings the application back."
            )


def end_processes(user: str) -> None:
    """Kill what still runs as the user: a shell that somebody left open, or what left the service that began it."""
    owner = pwd.getpwnam(user).pw_uid
    for _ in range(ATTEMPTS):
        # All at once (kill(2)): one that forks would be ahead of whoever goes from one to the next.
        with contextlib.suppress(OSError, RuntimeError):
            sandbox.act_as(user, partial(os.kill, -1, signal.SIGKILL))
        if owner not in {uid(process) for process in Path("/proc").glob("[0-9]*")}:
            return
        time.sleep(0.1)  # the kernel takes a moment to end them
    raise ReleaseError(
        f"app_name: processes of the user {user} cannot be ended: ps -u {user}. Restart the server, then try again."
    )


def uid(process: Path) -> int:
    """Return whose a process is, by its folder in /proc; -1 where it has gone."""
    try:
        return process.stat().st_uid
    except OSError:
        return -1


def remove_user(user: str) -> None:
    """Remove the user, and its group. Raises ReleaseError where the system refuses."""
    end_processes(user)
    if shutil.which("setquota"):  # app_disk_max would hold whoever gets the user's number next; without quotas it fails
        subprocess.run(["setquota", "--user", user, "0", "0", "0", "0", "--all"], capture_output=True, check=False)
    # With --force also while a process that was killed has not quite gone.
    done = subprocess.run(["userdel", "--force", user], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ReleaseError(f"app_name: the user {user} could not be removed: {done.stderr.strip()}")
    with contextlib.suppress(KeyError):  # as a rule it has gone with the user
        grp.getgrnam(user)
        subprocess.run(["groupdel", user], capture_output=True, check=False)


def stop(traffic: Traffic, users: list[str]) -> None:
    """End all that runs of the application, before root walks through what is its users'."""
    if (traffic.home / "releases").is_dir():
        for running in traffic.others():
            traffic.stop(running)
    for step in ("build", "check", "prestart"):  # of a deploy that was killed
        sandbox.stop(f"{traffic.user}-{step}")
    for user in users:
        end_processes(user)


def remove(params: dict[str, Any]) -> list[str]:
    """Remove all of the application; return what is kept. The user goes last, as it tells whose the rest is."""
    home, run = Path(params["home"]), Path(params["run"])
    if mounted := mounts(home):
        raise ReleaseError(
            f"app_shared_dirs: {', '.join(mounted)} is mounted there, and what is on it could be lost. Nothing was removed. "
            "Unmount it, then run this again."
        )
    traffic = Traffic(str(home), str(run), params["name"], params["user"], "")
    stop(traffic, own_users(params))
    names = precious(home)  # only now nothing can be added
    if names:
        keep(home, names, Path(params["kept"]))
    Path(f"/etc/tmpfiles.d/slipway-{params['name']}.conf").unlink(missing_ok=True)
    traffic.unmount_instances()
    for folder in (run, home.resolve()):
        if folder.exists():
            release.remove(folder)
    if home.is_symlink():
        home.unlink()
    for user in own_users(params):
        remove_user(user)
    return names


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **{name: {"type": "path", "required": True} for name in ("home", "run", "kept")},
            **{name: {"type": "str", "required": True} for name in ("name", "user")},
            "lock": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    params = module.params
    home = Path(params["home"])
    locked = (home / "releases").is_dir()
    names = precious(home)
    there = locked or bool(own_users(params))
    if there and not module.check_mode:
        deploy = Deploy(home, params["lock"])
        # A removal that was cut off may have left a user without a folder, and so without a lock.
        with deploy.step(module) if locked else contextlib.nullcontext():
            if locked:
                deploy.note(step="remove")
            try:
                names = remove(params)
            except ReleaseError as error:
                if locked:
                    raise
                module.fail_json(msg=str(error))
    module.exit_json(changed=there, folder=params["kept"], kept=names if there else [])


if __name__ == "__main__":
    main()
