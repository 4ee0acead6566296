#!/usr/bin/python
"""Start a release beside the running one, gate it, and move the traffic; see DOCUMENTATION."""

from __future__ import annotations

import http.client
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.release import Release, ReleaseError, last_lines, link, linked, replace

DOCUMENTATION = r"""
module: release_activate
short_description: Make a built release the one that answers
description:
  - Starts an instance of the release on its own socket, asks it for the health path, and only when it answers points
    C(<run>/app.sock) at it with a rename, so that the edge needs no reload and no connection is dropped.
  - Then waits until no connection to the old instance is left, stops it, and removes old releases.
  - A release that does not start or answer is stopped and marked failed; what was active stays so.
  - Where the release is active already it is started if it is not running. If it runs and does not answer in time, the
    module fails and leaves it running.
options:
  home: {description: The application's folder., type: path, required: true}
  run: {description: Folder of the sockets; made anew at each boot., type: path, required: true}
  name: {description: The application's name., type: str, required: true}
  id: {description: The release's id., type: str, required: true}
  user: {description: The application's user., type: str, required: true}
  socket_group: {description: Group of the edge; it may connect., type: str, required: true}
  commands:
    description:
      - What the process manager is told, each an argument list in which C({id}) is the release's id; C(start) returns
        when the instance is ready, C(enable) and C(disable) say whether it starts at boot, C(log) prints its last lines.
    type: dict
    required: true
    options:
      start: {description: Start an instance that does not run., type: list, elements: str, required: true}
      stop: {description: Stop an instance gracefully., type: list, elements: str, required: true}
      enable: {description: Start it at boot., type: list, elements: str, required: true}
      disable: {description: Do not start it at boot., type: list, elements: str, required: true}
      log: {description: Print its last log lines., type: list, elements: str, required: true}
  health_path: {description: Any answer below 500 to a GET of it counts as healthy., type: str, default: /}
  health_host: {description: The Host header of that request., type: str, default: localhost}
  health_timeout: {description: Seconds in which a started instance must answer., type: int, default: 30}
  drain_timeout: {description: Seconds to wait for the old instance's connections to end., type: int, default: 30}
  keep: {description: "Releases to keep. The active and the previous one always are.", type: int, default: 5}
attributes:
  check_mode: {support: full}
author: Slipway
"""

EXAMPLES = r"""
- name: The release answers
  release_activate:
    home: /srv/guestbook
    run: /run/guestbook
    name: guestbook
    user: guestbook
    socket_group: www-data
    id: "{{ release.id }}"
    commands:
      start: [systemctl, start, "guestbook@{id}"]
      stop: [systemctl, stop, "guestbook@{id}"]
      enable: [systemctl, enable, "guestbook@{id}"]
      disable: [systemctl, disable, "guestbook@{id}"]
      log: [journalctl, --unit, "guestbook@{id}"]
"""

RETURN = r"""
previous: {description: Id of the release that answered before., type: str, returned: when activated}
drain_seconds: {description: How long the old instance's connections took to end., type: float, returned: when activated}
"""

POLL_SECONDS = 0.1


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        """Connect to the socket instead of a port."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


def ask(path: Path, url: str, host: str, timeout: float) -> str:
    """GET a URL over a socket; return what is wrong with the answer, empty where all is well."""
    connection = UnixConnection(path, timeout)
    try:
        connection.request("GET", url, headers={"Host": host, "User-Agent": "slipway-health"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"no answer ({error or type(error).__name__})"
    finally:
        connection.close()
    return f"answered {status}" if status >= 500 else ""


def connections(path: Path) -> int:
    """Count the connections that clients have to a listening unix socket.

    Source: proc_net(5), /proc/net/unix: state 03 is connected, and the accepting side bears the listener's path.
    """
    lines = Path("/proc/net/unix").read_text().splitlines()[1:]
    rows = [line.split(maxsplit=7) for line in lines]
    return sum(1 for row in rows if len(row) == 8 and row[5] == "03" and row[7] == str(path))


class Activation:
    """The switch of one application's traffic to one release on this host."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.params = params
        self.release = Release(params["home"], params["id"])
        self.home, self.run = Path(params["home"]), Path(params["run"])

    def socket(self, release_id: str) -> Path:
        """Return the socket of an instance."""
        return self.run / f"{release_id}.sock"

    def tell(self, verb: str, release_id: str) -> subprocess.CompletedProcess[str]:
        """Give the process manager an order."""
        argv = [word.replace("{id}", release_id) for word in self.params["commands"][verb]]
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    def healthy(self, seconds: float) -> str:
        """Ask the instance until it answers or the time is over; return what was wrong last."""
        deadline = time.monotonic() + seconds
        while True:
            left = max(1.0, deadline - time.monotonic())
            wrong = ask(
                self.socket(self.release.id),
                self.params["health_path"],
                self.params["health_host"],
                left,
            )
            if not wrong or time.monotonic() >= deadline:
                return wrong
            # An answer that is wrong fills the log; it is asked for again less often than one that is not there yet.
            time.sleep(1 if wrong.startswith("answered") else POLL_SECONDS)

    def active(self) -> bool:
        """Whether the release is the one the edge talks to."""
        return self.release.active and linked(self.run / "app.sock") == self.socket(self.release.id).name

    def others(self) -> list[str]:
        """Return the ids of the instances that still have a socket beside the active one."""
        sockets = {path.stem for path in self.run.glob("*.sock") if not path.is_symlink()}
        return sorted(sockets - {self.release.id})

    def make_run_folder(self, active: str) -> None:
        """Make the sockets' folder now and at each boot, with app.sock leading to the active instance (tmpfiles.d(5))."""
        lines = [f"d {self.run} 0750 {self.params['user']} {self.params['socket_group']} -"]
        if active:
            lines.append(f"L+ {self.run}/app.sock - - - - {active}.sock")
        path = Path("/etc/tmpfiles.d") / f"slipway-{self.params['name']}.conf"
        replace(
            path,
            "# Made by Slipway (release_activate) at each activation.\n" + "\n".join(lines) + "\n",
        )
        subprocess.run(["systemd-tmpfiles", "--create", path], check=True, capture_output=True)

    def start(self) -> None:
        """Start the instance and wait until it is healthy. Raises ReleaseError, with nothing new left running."""
        started = self.tell("start", self.release.id)
        wrong = started.stderr.strip() if started.returncode else self.healthy(self.params["health_timeout"])
        if not wrong:
            return
        what = f"app_health_path: the release {self.release.id} {{}}: {wrong}. It must answer GET "
        what += f"{self.params['health_path']} with a status below 500 within {self.params['health_timeout']} s "
        what += "(app_health_timeout_seconds).{}\nIts last log lines:\n"
        log = last_lines(self.tell("log", self.release.id).stdout)
        if self.active():
            raise ReleaseError(what.format("has the traffic and is not well", " It was left as it is.") + log)
        self.tell("stop", self.release.id)
        raise self.release.fail(
            what.format("did not come up", " It was stopped; what was active before still is.") + log
        )

    def switch(self) -> str:
        """Move the traffic; return the id of the release that had it."""
        old = linked(self.home / "current")
        if self.tell("enable", self.release.id).returncode:
            self.tell("stop", self.release.id)
            raise self.release.fail(f"app_instance_commands: {self.release.id} cannot be enabled to start at boot.")
        if old and old != self.release.id:
            link(f"releases/{old}", self.home / "previous")
        # First the static files, then the pages that name them.
        link(f"releases/{self.release.id}", self.home / "current")
        link(self.socket(self.release.id).name, self.run / "app.sock")
        self.make_run_folder(self.release.id)
        return old if old != self.release.id else ""

    def retire(self) -> float:
        """Wait until nobody talks to the instances that lost the traffic, and stop them; return the seconds waited."""
        begin = time.monotonic()
        for old in self.others():
            self.tell("disable", old)
            while connections(self.socket(old)) and time.monotonic() - begin < self.params["drain_timeout"]:
                time.sleep(POLL_SECONDS)
        waited = time.monotonic() - begin
        for old in self.others():
            self.tell("stop", old)
            self.socket(old).unlink(missing_ok=True)  # one that was killed leaves it behind
        return waited

    def prune(self) -> None:
        """Remove the oldest releases, never the active or the previous one."""
        safe = {linked(self.home / "current"), linked(self.home / "previous")}
        releases = sorted((self.home / "releases").iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in releases[self.params["keep"] :]:
            if path.name not in safe:
                shutil.rmtree(path)


def main() -> None:
    """Run the module."""
    command = {"type": "list", "elements": "str", "required": True}
    module = AnsibleModule(
        argument_spec={
            **{name: {"type": "path", "required": True} for name in ("home", "run")},
            **{name: {"type": "str", "required": True} for name in ("name", "id", "user", "socket_group")},
            "commands": {
                "type": "dict",
                "required": True,
                "options": dict.fromkeys(("start", "stop", "enable", "disable", "log"), command),
            },
            "health_path": {"type": "str", "default": "/"},
            "health_host": {"type": "str", "default": "localhost"},
            "health_timeout": {"type": "int", "default": 30},
            "drain_timeout": {"type": "int", "default": 30},
            "keep": {"type": "int", "default": 5},
        },
        supports_check_mode=True,
    )
    activation = Activation(module.params)
    name, params = module.params["id"], module.params
    well = activation.active() and not ask(activation.socket(name), params["health_path"], params["health_host"], 10)
    if module.check_mode or (well and not activation.others()):
        module.exit_json(changed=not well or bool(activation.others()))
    old = ""
    try:
        if not well:
            activation.make_run_folder(linked(activation.run / "app.sock").removesuffix(".sock"))
            activation.start()
            old = activation.switch()
    except ReleaseError as error:
        module.fail_json(msg=str(error))
    drained = activation.retire()
    activation.prune()
    module.exit_json(changed=True, previous=old, drain_seconds=round(drained, 1))


if __name__ == "__main__":
    main()
