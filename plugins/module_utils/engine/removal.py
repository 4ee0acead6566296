"""Remove an application from this host; what cannot be created again is kept."""

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

from ansible_collections.slipway.flask.plugins.module_utils.engine import files, sandbox
from ansible_collections.slipway.flask.plugins.module_utils.engine.errors import ReleaseError
from ansible_collections.slipway.flask.plugins.module_utils.engine.traffic import Traffic

ATTEMPTS = 100
PRECIOUS = ("shared", "secret_key", "release.log")
MOUNTINFO = Path("/proc/self/mountinfo")


def own_users(home: Path, user: str) -> list[str]:
    """Return which users of the application exist; their homes tell that they belong to it."""
    homes = {user: f"{home}/shared", f"{user}-build": f"{home}/build"}
    return [one.pw_name for one in pwd.getpwall() if homes.get(one.pw_name) == one.pw_dir]


def precious(home: Path) -> list[str]:
    """Return what to keep of the application's folder; shared folders without a file in them are not."""
    found = [name for name in PRECIOUS if os.path.lexists(home / name)]
    first_file = ["find", str(home / "shared"), "!", "-type", "d", "-print", "-quit"]
    if "shared" in found:
        looked = subprocess.run(first_file, capture_output=True, check=False)
        if looked.returncode == 0 and looked.stdout == b"":
            found.remove("shared")
    return found


def mounts(home: Path) -> list[str]:
    """Return what is mounted below a folder: it would be emptied, or could not be moved (proc_pid_mountinfo(5), field 5)."""
    points = [line.split()[4] for line in MOUNTINFO.read_text().splitlines()]
    return [point for point in points if point.startswith(f"{home.resolve()}/")]


def keep(home: Path, names: list[str], folder: Path) -> None:
    """Move what is to be kept, with its owners and times. Raises ReleaseError where that fails: then it is still there."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700)
    for name in names:
        done = subprocess.run(["mv", home / name, folder / name], capture_output=True, text=True, check=False)
        if done.returncode:
            raise ReleaseError(
                f"{home / name} could not be moved to {folder}: {done.stderr.strip()}. Nothing was removed, but the application's "
                "programs are stopped. Fix that and run this again; or run site.yml, which starts them."
            )


def end_processes(user: str) -> None:
    """Kill what still runs as the user: a shell that was left open, or a process that left the service that began it."""
    owner = pwd.getpwnam(user).pw_uid
    for _ in range(ATTEMPTS):
        # All at once (kill(2)): one that forks would escape a loop over the processes.
        with contextlib.suppress(OSError, RuntimeError):
            sandbox.act_as(user, partial(os.kill, -1, signal.SIGKILL))
        if owner not in {uid(process) for process in Path("/proc").glob("[0-9]*")}:
            return
        time.sleep(0.1)  # the kernel takes a moment to end them
    raise ReleaseError(
        f"app_name: processes of the user {user} cannot be ended: ps -u {user}. Restart the server, then try again."
    )


def uid(process: Path) -> int:
    """Return the owner of a process, by its folder in /proc; -1 where it has ended."""
    try:
        return process.stat().st_uid
    except OSError:
        return -1


def remove_user(user: str) -> None:
    """Remove the user, and its group. Raises ReleaseError where the system refuses."""
    end_processes(user)
    # Else app_disk_max would limit the next user with this number. Without quotas setquota fails.
    if shutil.which("setquota"):
        subprocess.run(["setquota", "--user", user, "0", "0", "0", "0", "--all"], capture_output=True, check=False)
    # With --force also while a process that was killed has not quite gone.
    done = subprocess.run(["userdel", "--force", user], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ReleaseError(f"app_name: the user {user} could not be removed: {done.stderr.strip()}")
    with contextlib.suppress(KeyError):  # usually it was removed with the user
        grp.getgrnam(user)
        subprocess.run(["groupdel", user], capture_output=True, check=False)


def stop(traffic: Traffic, users: list[str]) -> None:
    """Stop everything of the application, before root walks through files of its users."""
    if (traffic.home / "releases").is_dir():
        for running in traffic.others():
            traffic.stop(running)
    for step in ("build", "check", "prestart"):  # of a deploy that was killed
        sandbox.stop(f"{traffic.user}-{step}")
    for user in users:
        end_processes(user)


def remove(traffic: Traffic, kept: Path) -> list[str]:
    """Remove all of the application; return what is kept. The user is removed last: its home tells whose the rest is.

    kept: folder to make for what is kept. Raises ReleaseError.
    """
    home = traffic.home
    if mounted := mounts(home):
        raise ReleaseError(
            f"app_shared_dirs: {', '.join(mounted)} is mounted there, and what is on it could be lost. Nothing was removed. "
            "Unmount it, then run this again."
        )
    users = own_users(home, traffic.user)
    stop(traffic, users)
    names = precious(home)  # now nothing can be added any more
    if names:
        keep(home, names, kept)
    traffic.folder.remove()
    for folder in (traffic.run, home.resolve()):
        if folder.exists():
            files.remove(folder)
    if home.is_symlink():
        home.unlink()
    for user in users:
        remove_user(user)
    return names
