"""Decide which static files of an application are published, and why the others are not.

The edge refuses the same names (edge_static_kinds, edge_static_forbidden_suffixes), also those that the application would answer.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

# What compresses well; everything else is left to the edge.
COMPRESSIBLE = frozenset(["css", "js", "mjs", "json", "map", "svg", "xml", "txt", "html", "wasm", "ttf", "otf", "ico"])
ELSEWHERE = "a link that leads elsewhere, or nowhere"
# A smaller file fits one packet anyway.
COMPRESS_MIN_BYTES = 1024


class Rule(NamedTuple):
    """Which files are published.

    kinds: the last suffix has to be one of these, in lower case; "" is a name without any. forbidden: nor may a suffix before it be one of these (main.py.txt is a
    source file, whatever it is called).
    """

    kinds: Collection[str]
    forbidden: Collection[str]

    def against(self, name: str) -> str:
        """Return why a file of this name is not published; empty where it is."""
        if not re.fullmatch(r"[^.#~/\\][^/\\]*", name) or not name.isprintable() or name.endswith("~"):
            return "hidden, or left over by a program"
        _, *suffixes = name.lower().split(".")
        if (suffixes[-1] or "." if suffixes else "") not in self.kinds:
            return "of no kind that is published (app_static_kinds)"
        if bad := [suffix for suffix in suffixes if suffix in self.forbidden]:
            return f"a .{bad[0]} file"
        return ""


def files(source: Path, rule: Rule, shared: Path) -> Iterator[tuple[str, str]]:
    """Yield each file below a folder, by its path there, and why it is not published.

    A link to a folder below it, or in `shared`, stays one that the application may follow.
    """
    inside, kept = (Path(os.path.realpath(folder)) for folder in (source, shared))
    for folder, folders, names in os.walk(source):
        here = Path(folder)
        for name in [*folders]:
            if (here / name).is_symlink() or name.startswith(".") or name == "__pycache__":
                folders.remove(name)
                why = "hidden"
                if (here / name).is_symlink():
                    target = Path(os.path.realpath(here / name))
                    near = target.is_relative_to(inside) or target.is_relative_to(kept)
                    why = "a link to a folder" if near else ELSEWHERE
                yield str((here / name).relative_to(source)), why
        for name in names:
            path = here / name
            why = rule.against(name)
            if not why and path.is_symlink():
                target = Path(os.path.realpath(path))  # which does not mind a circle
                lost = not target.is_relative_to(inside) or rule.against(target.name)
                why = ELSEWHERE if lost or not target.is_file() else ""
            elif not why and not stat.S_ISREG(path.lstat().st_mode):
                why = "no regular file"
            yield str(path.relative_to(source)), why


def publish(source: Path, target: Path, rule: Rule, shared: Path) -> list[str]:
    """Copy what may be published to a new folder, with .gz twins of what compresses well; return what was left out, and why.

    A link elsewhere is removed: by its name the edge would let a visitor ask the application's own static route
    for it, which follows links.
    """
    refused = []
    for name, why in sorted(files(source, rule, shared)):
        if why:
            if why == ELSEWHERE:
                (source / name).unlink()
            refused.append(f"{name}: {why}")
            continue
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, copy)
        shutil.copystat(source / name, copy)
        if copy.suffix[1:].lower() in COMPRESSIBLE and copy.stat().st_size >= COMPRESS_MIN_BYTES:
            compress(copy)
    return refused


def compress(path: Path) -> None:
    """Write a .gz twin next to a file, unless it saves less than a tenth."""
    twin = path.with_name(path.name + ".gz")
    with path.open("rb") as plain, twin.open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        shutil.copyfileobj(plain, packed)
    if twin.stat().st_size < 0.9 * path.stat().st_size:
        shutil.copystat(path, twin)  # one Last-Modified for both
    else:
        twin.unlink()
