"""Say who deploys, and judge whether the deploy that holds the lock still runs; the lock itself is on the server."""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import os
import re
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase


def started(pid: int) -> str:
    """Return when a process of this machine started, as ps(1) prints it; empty where no process has that number."""
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    done = subprocess.run(command, env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def machine() -> str:
    """Return what distinguishes this machine from others, where process numbers mean something else."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/etc/machine-id").read_text().strip())
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/self/ns/pid").readlink().name)  # of two containers with one name
    return " ".join(parts)


def without_password(source: str) -> str:
    """Return a source as others may read it: https://user:token@host/… without what is before the host."""
    return re.sub("^([a-z]+://)[^/]*@", r"\1", source)


class LockingAction(ActionBase):
    """An action whose module takes the lock on an application's releases before it does anything else."""

    _requires_connection = True

    def with_lock(
        self,
        module: str,
        arguments: dict[str, Any],
        task_vars: dict[str, Any] | None,
        *,
        verb: str = "deploy",
        source: str = "",
        force: bool = False,
    ) -> dict[str, Any]:
        """Run the module, again where it found the lock of a deploy that has ended.

        What it returns has as well, also where it fails, what the further steps of the deploy give as their `lock`: `run`.
        """
        if self._task.check_mode:
            return self._execute_module(module, arguments, task_vars=task_vars)
        # A task runs in its own process; the run is its parent.
        pid = os.getppid()
        process = {"machine": machine(), "pid": pid, "started": started(pid)}
        holder = {
            "who": getpass.getuser(),
            "host": socket.gethostname(),
            "verb": verb,
            "source": without_password(source),
            **process,
        }
        # The same for each host of the run, and for no other run.
        run = hashlib.sha256(repr(process).encode()).hexdigest()[:12]
        asks = {"run": run, "holder": holder, "force": force}
        result = self._execute_module(module, {**arguments, "asks": asks}, task_vars=task_vars)
        while held := result.get("held"):
            if held.get("machine") != holder["machine"] or started(held["pid"]) == held["started"]:
                since = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(held["since"]))
                raise AnsibleActionFail(
                    f"app_lock_break: {held['who']} has held the deploy lock from {held['host']} since {since} "
                    f"({held['verb']}, step: {held.get('step', 'begin')}). Wait until it has ended. If that machine is gone for "
                    "good, run this again with -e app_lock_break=true."
                )
            asks["instead_of"] = held["run"]
            result = self._execute_module(module, {**arguments, "asks": asks}, task_vars=task_vars)
        return {**result, "run": run}
