"""What must hold: ratios within one run. A change of a target is a change of this list."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.figures import Summary
from bench.sides import PARTS

Figures = Mapping[str, Mapping[str, Summary]]  # by part, by side


@dataclass(frozen=True)
class Target:
    """A figure of a side, the best of several where there are several, to that of a base; or a figure of its own (no base)."""

    what: str
    part: str
    sides: tuple[str, ...]
    base: str
    limit: float
    figure: Callable[[Summary], float]
    at_least: bool = True

    @property
    def wanted(self) -> str:
        """The limit in words."""
        return f"{'at least' if self.at_least else 'at most'} {self.limit:g}"


def rate(side: Summary) -> float:
    """Requests a second."""
    return side.rate


def cpu(side: Summary) -> float:
    """CPU for each request, all tiers."""
    return sum(side.cpu_us.values())


def stall(side: Summary) -> float:
    """How far the slowest of a hundred is from the median."""
    return side.p99_ms / side.p50_ms


def new_connections(side: Summary) -> float:
    """Connections that PostgreSQL accepted for a thousand requests."""
    return side.sessions or 0


TARGETS = (
    Target("The fastest of Slipway to the template", "plain", ("granian", "uwsgi", "gunicorn"), "template", 1.25, rate),
    Target("Slipway's uwsgi to the template", "plain", ("uwsgi",), "template", 1.1, rate),
    Target("The default to the tutorial", "plain", ("gunicorn",), "tutorial", 1.2, rate),
    Target("The default to the template (the goal)", "plain", ("gunicorn",), "template", 0.5, rate),
    Target("CPU of the default to gunicorn alone", "plain", ("gunicorn",), "alone", 1.1, cpu, at_least=False),
    Target("mod_wsgi to the Apache template", "plain", ("modwsgi",), "embedded", 2, rate),
    Target("gunicorn behind Apache to gunicorn behind nginx", "plain", ("httpd",), "gunicorn", 0.8, rate),
    Target(
        "New connections to PostgreSQL for 1,000 requests",
        "query",
        ("gunicorn",),
        "",
        10,
        new_connections,
        at_least=False,
    ),
    # At which level was left open: both are judged.
    Target("Compressed at the deploy to `gzip on`, level 1", "stylesheet", ("gunicorn-css",), "gzip", 10, rate),
    Target("Compressed at the deploy to `gzip on`, level 5", "stylesheet", ("gunicorn-css",), "gzip5", 10, rate),
    Target("HTTPS to HTTP, the page", "tls", ("secure",), "gunicorn", 0.8, rate),
    Target("HTTPS to HTTP, the stylesheet", "tls-stylesheet", ("secure-css",), "gunicorn-css", 0.8, rate),
    Target("Pages from the cache to the application's", "cache", ("cached",), "gunicorn", 5, rate),
    *(
        Target(f"p99 to the median of that minute: {side.label}", "stalls", (side.name,), "", 3, stall, at_least=False)
        for side in PARTS["stalls"].sides
    ),
)


def judged(target: Target, figures: Figures) -> tuple[str, str]:
    """Return what a target came to, and whether that holds, both in words."""
    sides = figures.get(target.part, {})
    names = (*target.sides, *filter(None, [target.base]))
    if not sides.keys() >= {*names}:
        return "", "not measured"
    asked = [sides[name] for name in names]
    failed = sum(side.failures for side in asked)
    if failed:
        return "", f"not valid: {failed:,} requests failed"
    best = (max if target.at_least else min)(target.figure(sides[name]) for name in target.sides)
    value = best / target.figure(sides[target.base]) if target.base else best
    holds = value >= target.limit if target.at_least else value <= target.limit
    return f"{value:.2f}", "holds" if holds else "**does not hold**"
