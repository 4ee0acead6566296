"""The pictures of docs/benchmarks.md, as SVG: the same bytes for the same figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot

from bench.figures import Summary
from bench.sides import PARTS

OURS, THEIRS = "#1f6f8b", "#b8b8b8"


def draw(name: str, sides: Mapping[str, Summary], path: Path) -> None:
    """Draw the requests a second of a part: a bar for each side, a line from the lowest to the highest."""
    mpl.rcParams.update({"svg.hashsalt": "slipway", "svg.fonttype": "none", "font.family": "sans-serif"})
    drawn = [side for side in PARTS[name].sides if side.drawn and side.name in sides]
    drawn.sort(key=lambda side: sides[side.name].rate)
    figure, axes = pyplot.subplots(figsize=(8, 0.8 + 0.36 * len(drawn)), layout="constrained")
    for place, side in enumerate(drawn):
        found = sides[side.name]
        spread = [[found.rate - found.lowest], [found.highest - found.rate]]
        color = OURS if side.label.startswith("Slipway") else THEIRS
        axes.barh(place, found.rate, xerr=spread, color=color, ecolor="#444444", height=0.7)
        axes.text(found.highest, place, f"  {found.rate:,.0f}", va="center", fontsize=9)
    axes.set_yticks(range(len(drawn)), [side.label.replace("`", "") for side in drawn])
    axes.margins(x=0.12)
    axes.set_xlabel("requests a second, median and range")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
