"""Runs on the server: measures one side, as the JSON in its argument says, and prints JSON.

In: url, seconds, warm_up_seconds, connections, headers, units (of each tier), command (in wrk's place), path (PYTHONPATH).
Out: wrk (what it printed) or sample (what the command printed), cpu_us (of each tier), and sessions (that PostgreSQL began).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

CGROUPS = Path("/sys/fs/cgroup")


def output(*command: str) -> str:
    """Run a command; return what it printed."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def cpu_us(pattern: str) -> int:
    """Return how much CPU the units of a pattern have used since they began."""
    groups = output("systemctl", "show", "--property=ControlGroup", "--value", pattern).split()
    stats = [(CGROUPS / group.lstrip("/") / "cpu.stat").read_text() for group in groups]
    if not stats:
        raise SystemExit(f"No unit {pattern} is running.")
    return sum(int(stat.split()[1]) for stat in stats)  # usage_usec is the first line


def postgresql(query: str) -> int:
    """Ask PostgreSQL for a number."""
    return int(output("runuser", "-u", "postgres", "--", "psql", "-Atc", query, "postgres"))


def measure(plan: dict[str, Any]) -> dict[str, Any]:
    """Measure one side."""
    headers = [word for header in plan["headers"] for word in ("-H", header)]
    wrk = ["wrk", "--latency", "-t2", f"-c{plan['connections']}", "--timeout", "10", *headers]
    output(*wrk, f"-d{plan['warm_up_seconds']}", plan["url"])
    database = "database" in plan["units"]
    began = "SELECT sum(sessions) FROM pg_stat_database WHERE datname = 'gunicorn'"
    sessions = postgresql(began) if database else 0
    before = {tier: cpu_us(pattern) for tier, pattern in plan["units"].items()}
    said = output(*wrk, f"-d{plan['seconds']}", plan["url"])
    used = {tier: cpu_us(pattern) - before[tier] for tier, pattern in plan["units"].items()}
    result: dict[str, Any] = {"wrk": said, "cpu_us": used}
    if database:
        result["sessions"] = postgresql(began) - sessions
    return result


if __name__ == "__main__":
    plan = json.loads(sys.argv[1])
    print(output(*plan["command"]) if plan["command"] else json.dumps(measure(plan)))
