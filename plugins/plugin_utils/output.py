"""What a build has made in an application's folder, and .gitignore keeps from travelling with it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

# What visitors get. Images are left out: below a folder of static files these are often uploads.
KINDS = {".css", ".html", ".js", ".mjs"}
# What bundlers call the folder of their output.
NAMES = {"build", "dist", "out", "public"}


def is_output(folder: Path, name: str, static_dir: str) -> bool:
    """Whether a name, a folder's with a slash at its end, is what a bundler has made to be published."""
    path = PurePosixPath(name)
    place = path if name.endswith("/") else path.parent
    if "node_modules" in path.parts or any(part.startswith((".", "__")) for part in path.parts):
        return False
    if place.name not in NAMES and PurePosixPath(static_dir) not in (place, *place.parents):
        return False
    # Only near the top: further down is what setuptools copied of a package.
    files = [file for pattern in ("*", "*/*") for file in (folder / path).glob(pattern)] if place == path else [path]
    return any(file.suffix in KINDS for file in files)


def advice(folder: Path, static_dir: str, ignored: Iterable[str]) -> list[str]:
    """Return what to say of output that stays behind. ignored: names that .gitignore leaves out, those of folders with a slash."""
    found = [name for name in ignored if is_output(folder, name, static_dir)]
    every = {PurePosixPath(name if name.endswith("/") else PurePosixPath(name).parent) for name in found}
    places = sorted(f"{place}/" for place in every if every.isdisjoint(place.parents))
    if not places:
        return []
    return [
        f"app_source: left out {', '.join(places)}, which .gitignore names and which looks like the output of a build. Have the server make "
        f"it (app_build: [npm ci && npm run build]), or commit it (git add --force {places[0]})."
    ]
