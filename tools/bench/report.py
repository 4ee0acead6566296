"""docs/benchmarks.md, from docs/benchmarks.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.figures import Sample, Summary, summary
from bench.sides import CONNECTIONS, PARTS
from bench.targets import TARGETS, Figures, judged

DOCS = Path(__file__).resolve().parents[2] / "docs"

METHOD = f"""# Benchmarks

<!-- Written by `make bench` (tools/bench): change it there. -->

What Slipway's stack does next to others, on the same server in the same minutes. Absolute figures are this machine's; what
carries over are the ratios. `make bench` measures all of it again, `make bench PARTS="plain tls"` a part, and
`make bench PARTS=stalls` the minute in which workers are replaced.

![Requests a second for a page of one line](benchmarks-plain.svg)

## Method

- The servers are throwaway containers with Debian 13 on one machine (`tools/servers`), one with nginx and one with Apache. `wrk` runs
  on the server itself, with {CONNECTIONS} connections that are kept, so it takes its share of the same cores.
- The sides of a table take turns: each is measured once, then each again. A measurement is 3 s after 1 s of warm-up, but
  for the minutes of `stalls`. The tables show medians, and the lowest and highest rate.
- CPU is what a request costs in microseconds, from the cgroups of the services: application, web server, database.
- A request that failed (no 2xx or 3xx, or an error of the socket) makes a side's figures not valid.
- Slipway's sites are deployed by `site.yml` with the defaults, but for what the name of the side says. root's requests are not
  limited by the role connection_limit, and no limit of requests is set.
- The others are written from their descriptions (`tools/bench/peers/`), and run as services of systemd without a sandbox. The
  container template: uWSGI, from 2 to 16 processes, its log of requests on, the uwsgi protocol over a unix socket, nginx with one worker.
  The tutorial: gunicorn 23 with 3 sync workers behind `proxy_pass` over TCP, nginx as Debian sets it up. gunicorn alone has the version,
  workers and threads of Slipway's release, but no wrapper, no sandbox and no replacement of workers.
- Compressed for each answer is the stylesheet by nginx's own level (1) and by the level that Slipway sets for pages (5). The client takes
  gzip, and nothing limits the network here: what is not compressed is 90 KB for each visitor.
- All serve the same application (`tools/bench/app/`). Its pool of connections to PostgreSQL is SQLAlchemy's own.
"""


def samples_of(run: dict[str, Any]) -> dict[str, Summary]:
    """Return the summaries of a part, by side."""
    return {side: summary([Sample(**each) for each in samples]) for side, samples in run["samples"].items()}


def cell(value: float | None, form: str = ",.0f") -> str:
    """Return a figure, or nothing where there is none."""
    return "" if value is None else format(value, form)


def table(name: str, sides: dict[str, Summary]) -> list[str]:
    """Return the table of a part, the fastest first."""
    part = PARTS[name]
    labels = {side.name: side.label for side in part.sides}
    tiers = [tier for tier in ("app", "web", "database") if any(tier in side.cpu_us for side in sides.values())]
    database = "database" in tiers
    head = ["side", "requests/s", "lowest to highest", "ratio", "p50 ms", "p99 ms", *(f"{tier} µs" for tier in tiers)]
    head += ["new connections per 1,000 requests"] if database else []
    lines = [f"| {' | '.join(head)} |", "| --- " + "| ---: " * (len(head) - 1) + "|"]
    for side, figures in sorted(sides.items(), key=lambda item: -item[1].rate):
        timed = figures.p50_ms > 0
        cells = [
            labels[side] + (f" (not valid: {figures.failures:,} requests failed)" if figures.failures else ""),
            cell(figures.rate),
            f"{figures.lowest:,.0f} to {figures.highest:,.0f}",
            cell(figures.rate / sides[part.base].rate, ".2f"),
            *(cell(value if timed else None, ".1f") for value in (figures.p50_ms, figures.p99_ms)),
            *(cell(figures.cpu_us.get(tier)) for tier in tiers),
        ]
        cells += [cell(figures.sessions, ".1f")] if database else []
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def goals(figures: Figures) -> list[str]:
    """Return the table of what must hold."""
    lines = ["| what | must be | is | |", "| --- | --- | ---: | --- |"]
    for target in TARGETS:
        value, verdict = judged(target, figures)
        lines.append(f"| {target.what} | {target.wanted} | {value} | {verdict} |")
    return lines


def render(results: dict[str, Any]) -> str:
    """Return the document. results: of each part its date, machine, versions, seconds, and samples by side."""
    runs = {name: results[name] for name in PARTS if name in results}
    figures = {name: samples_of(run) for name, run in runs.items()}
    lines = [METHOD, "## What must hold", "", *goals(figures)]
    for name, run in runs.items():
        rounds = max(len(samples) for samples in run["samples"].values())
        picture = [f"![{PARTS[name].title}](benchmarks-{name}.svg)", ""] if name != "plain" else []
        lines += ["", f"## {PARTS[name].title}", "", *picture, *table(name, figures[name]), ""]
        lines += [
            f"Rounds: {rounds}, of {run['seconds']} s. {run['date']}, on {run['machine']}. Versions: {run['versions']}."
        ]
    return "\n".join(lines) + "\n"
