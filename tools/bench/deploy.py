"""How long a first run, a second run, a deploy and a rollback take, each next to its floor: a play of as many empty tasks.

Prints every figure and the median, in seconds of wall-clock time, and how many tasks there were.
"""

from __future__ import annotations

import json
import re
import shutil
import statistics
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from bench.server import ROOT, SERVERS, run
from servers.records import server

SERVER = "bench-deploy"
RECAP = r"ok=(\d+) +changed=(\d+)"
DRAIN = r"drain_seconds: ([\d.]+)"


def play(playbook: str | Path, **variables: object) -> str:
    """Run a playbook against the server; return its output."""
    extra = json.dumps({**server(SERVER).host_variables(), **variables})
    inventory = ["--inventory", "inventories/demo", "--limit", "demo"]
    return run(ROOT / ".venv/bin/ansible-playbook", "-v", *inventory, playbook, "--extra-vars", extra)


def empty(folder: Path, tasks: int) -> Path:
    """Write a playbook of so many tasks that do nothing on the server; return its path."""
    path = folder / "empty.yml"
    nothing = [{"name": f"Do nothing {number}", "ansible.builtin.ping": None} for number in range(tasks)]
    path.write_text(json.dumps([{"name": "Nothing", "hosts": "all", "gather_facts": False, "tasks": nothing}]))
    return path


def first_page() -> None:
    """Fetch the page; raise where it is not there."""
    with urllib.request.urlopen(f"http://{server(SERVER).address}/", timeout=5) as answer:
        if answer.status != 200:
            raise RuntimeError(f"{answer.url} answered {answer.status}")


class Clock:
    """Seconds of each thing that is done, its floor's, and what Ansible said of it."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.tasks: dict[str, str] = {}

    def measure(self, name: str, step: Callable[[], str]) -> str:
        """Do something; return what it said."""
        began = time.monotonic()
        said = step()
        self.seconds[name].append(time.monotonic() - began)
        if recap := re.search(RECAP, said):
            drain = re.search(DRAIN, said)
            self.tasks[name] = f"{recap[1]} tasks, {recap[2]} changed" + (f", drain {drain[1]} s" if drain else "")
        print(f"{name}: {self.seconds[name][-1]:.1f} s ({self.tasks.get(name, '')})", flush=True)
        return said

    def beside_its_floor(self, name: str, step: Callable[[], str], folder: Path) -> None:
        """Do something that Ansible does, then as many empty tasks."""
        recap = re.search(RECAP, self.measure(name, step))
        if recap is None:
            raise RuntimeError(f"{name}: Ansible did not say how many tasks there were.")
        playbook = empty(folder, int(recap[1]))
        self.measure(f"{name}: its floor", lambda: play(playbook))

    def table(self) -> str:
        """Return all of it as a table."""
        lines = ["| what | median | lowest to highest |", "| --- | ---: | ---: |"]
        for name, seconds in self.seconds.items():
            known = f" ({self.tasks[name]})" if name in self.tasks else ""
            spread = f"{min(seconds):.1f} to {max(seconds):.1f}"
            lines.append(f"| {name}{known} | {statistics.median(seconds):.1f} s | {spread} |")
        return "\n".join(lines)


def life(clock: Clock, source: Path, change: str) -> None:
    """Measure a server from its boot to a rollback."""
    folder = source.parent
    run(*SERVERS, "down", SERVER)
    clock.measure("boot", lambda: run(*SERVERS, "up", SERVER, "--debian", "trixie"))
    clock.beside_its_floor("bare server to first page", lambda: play("site.yml", app_source=str(source)), folder)
    first_page()
    clock.beside_its_floor("second full run", lambda: play("site.yml", app_source=str(source)), folder)
    clock.beside_its_floor("unchanged deploy", lambda: play("playbooks/deploy.yml", app_source=str(source)), folder)
    with (source / "guestbook/__init__.py").open("a") as module:
        module.write(f"\n# {change}\n")
    # As where visitors are about: nginx has idle connections to the old instance.
    first_page()
    clock.beside_its_floor(
        "deploy of changed code", lambda: play("playbooks/deploy.yml", app_source=str(source)), folder
    )
    first_page()
    clock.beside_its_floor("rollback", lambda: play("playbooks/rollback.yml", app_source=str(source)), folder)


def main(rounds: int) -> None:
    """Measure and print."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / "app"
        shutil.copytree(ROOT / "app", source)
        try:
            for round_ in range(rounds):
                life(clock, source, f"round {round_}")
        finally:
            run(*SERVERS, "down", SERVER)
    print(f"\n{clock.table()}")
