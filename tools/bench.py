#!/usr/bin/env python3
"""Measure what the README promises, on throwaway servers: how long a first run, a second run, a deploy and a
rollback take.

    bench.py [ROUNDS]      3 unless told otherwise

The image of the server must be there (`tools/servers image trixie`), and nothing else should run on the machine. Prints
every figure and the median, in seconds of wall-clock time.
"""

from __future__ import annotations

import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SERVERS = [sys.executable, str(ROOT / "tools/servers")]
SERVER = "bench"


def run(*argv: str) -> str:
    """Run a command; return its output, end the benchmark where it fails."""
    result = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(result.stdout[-4000:] + result.stderr[-2000:])
    return result.stdout


def site(source: Path, playbook: str = "site.yml") -> str:
    """Run a playbook of Slipway against the benchmark's server."""
    known = json.loads((ROOT / f".servers/{SERVER}.json").read_text())
    variables = {name: value for name, value in known.items() if name.startswith("ansible_")}
    inventory = ["--inventory", "inventories/demo", "--limit", "demo"]
    extra = json.dumps({**variables, "app_source": str(source)})
    return run(str(ROOT / ".venv/bin/ansible-playbook"), "-v", *inventory, playbook, "--extra-vars", extra)


def first_page() -> None:
    """Fetch the page; raise where it is not there."""
    address = run(*SERVERS, "address", SERVER).strip()
    with urllib.request.urlopen(f"http://{address}/", timeout=5) as answer:
        if answer.status != 200:
            raise RuntimeError(f"{answer.url} answered {answer.status}")


def main() -> None:
    """Measure and print."""
    figures: dict[str, list[float]] = defaultdict(list)
    tasks: dict[str, str] = {}

    def measure(name: str, *steps: object) -> None:
        began = time.monotonic()
        for step in steps:
            said = step()  # type: ignore[operator]
            if said and (recap := re.search(r"ok=(\d+) +changed=(\d+)", said)):
                tasks[name] = f"{recap[1]} tasks, {recap[2]} changed"
                if drain := re.search(r"drain_seconds: ([\d.]+)", said):
                    tasks[name] += f", drain {drain[1]} s"
        figures[name].append(time.monotonic() - began)
        print(f"{name}: {figures[name][-1]:.1f} s ({tasks.get(name, '')})", flush=True)

    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / "app"
        shutil.copytree(ROOT / "app", source)
        for round_ in range(int(sys.argv[1]) if sys.argv[1:] else 3):
            run(*SERVERS, "down", SERVER)
            boot = lambda: run(*SERVERS, "up", SERVER, "--debian", "trixie")  # noqa: E731
            measure("boot", boot)
            measure("bare server to first page", lambda: site(source), first_page)
            measure("second full run", lambda: site(source))
            measure("unchanged deploy", lambda: site(source, "playbooks/deploy.yml"))
            with (source / "guestbook/__init__.py").open("a") as module:
                module.write(f"\n# round {round_}\n")
            first_page()
            measure("deploy of changed code", lambda: site(source, "playbooks/deploy.yml"))
            # As where visitors are about: nginx has idle connections to the old instance.
            first_page()
            measure("rollback", lambda: site(source, "playbooks/rollback.yml"))
            run(*SERVERS, "down", SERVER)

    print("\n| what | median | all |\n| --- | --- | --- |")
    for name, seconds in figures.items():
        every = ", ".join(f"{figure:.1f}" for figure in seconds)
        print(f"| {name} ({tasks.get(name, '')}) | {statistics.median(seconds):.1f} s | {every} |")


if __name__ == "__main__":
    main()
