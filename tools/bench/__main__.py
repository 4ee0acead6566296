"""What Slipway's stack can do next to others, and how long its deploys take, on throwaway servers.

    bench                  every part but `stalls`; about a quarter of an hour on 2 cores
    bench plain tls        parts: plain, query, stylesheet, tls, tls-stylesheet, cache, stalls
    bench report           write docs/benchmarks.md and its pictures from docs/benchmarks.json again
    bench deploy [ROUNDS]  how long a first run, a second run, a deploy and a rollback take

ROUNDS in the environment says how often each side is measured, 5 unless told otherwise. The image of the servers must be there
(`tools/servers image trixie`), and nothing else should run on the machine.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

# As in tools/servers: the package is in the folder above.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import deploy, report, server
from bench.sides import COMPLETE, PARTS, needed

RESULTS = report.DOCS / "benchmarks.json"


def machine() -> str:
    """Return the machine in words: CPU, cores, memory, kernel."""
    known = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line)
    model = {key.strip(): value.strip() for key, value in known.items()}.get("model name", platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    kernel = platform.release().partition("-")[0]
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GB, Linux {kernel}"


def measure(name: str, rounds: int) -> dict[str, Any]:
    """Measure a part; return its samples by side."""
    part = PARTS[name]
    for app_name, variables in part.variables.items():
        server.deploy(app_name, "--extra-vars", json.dumps(variables))
    samples: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for round_ in range(part.rounds or rounds):
        for side in part.sides:
            found = server.measure(side, part.seconds)
            samples[side.name].append(asdict(found))
            costs = ", ".join(f"{tier} {used:.0f} us" for tier, used in found.cpu_us.items())
            failed = f", {found.failures} FAILED" if found.failures else ""
            print(
                f"{name} {round_ + 1} {side.name}: {found.rate:,.0f}/s, p99 {found.p99_ms:.1f} ms, {costs}{failed}",
                flush=True,
            )
    return {"seconds": part.seconds, "samples": samples}


def write_report() -> None:
    """Write the document and its pictures."""
    from bench import plots  # only here: matplotlib takes a second to import

    results = json.loads(RESULTS.read_text())
    (report.DOCS / "benchmarks.md").write_text(report.render(results))
    for name in results:
        plots.draw(name, report.samples_of(results[name]), report.DOCS / f"benchmarks-{name}.svg")


def run(names: list[str], rounds: int) -> None:
    """Measure parts, and write what came out."""
    began = time.monotonic()
    sites = needed(names)
    try:
        server.set_up_all(sites)
        print(f"set-up: {time.monotonic() - began:.0f} s", flush=True)
        facts = {
            "date": time.strftime("%-d %B %Y"),
            "machine": machine(),
            "versions": ", ".join(dict.fromkeys(version for name in sites for version in server.versions(name))),
        }
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        for name in names:
            results[name] = facts | measure(name, rounds)
    finally:
        server.tear_down()
    RESULTS.write_text(json.dumps({name: results[name] for name in PARTS if name in results}, indent=1) + "\n")
    write_report()
    figures = {name: report.samples_of(results[name]) for name in names}
    for name in names:
        print("", PARTS[name].title, *report.table(name, figures[name]), sep="\n")
    print("", *report.goals(figures), f"\nIn all: {time.monotonic() - began:.0f} s", sep="\n")


def main() -> None:
    """Do what the arguments say."""
    words = sys.argv[1:]
    if words[:1] == ["deploy"]:
        deploy.main(int(words[1]) if words[1:] else 3)
    elif words == ["report"]:
        write_report()
    elif unknown := [word for word in words if word not in PARTS]:
        sys.exit(f"bench: {unknown[0]!r} is not a part. The parts: {', '.join(PARTS)}.")
    else:
        rounds = os.environ.get("ROUNDS") or "5"
        if not rounds.isdecimal() or rounds == "0":
            sys.exit(f"bench: ROUNDS={rounds!r} is not a number of rounds, such as 5.")
        run(words or list(COMPLETE), int(rounds))


if __name__ == "__main__":
    main()
