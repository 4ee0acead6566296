"""Decide which static files of an application are published, and why the others are not.

The edge refuses the same names (edge_static_kinds, edge_static_forbidden_suffixes), also those that the application would answer.
"""

from __future__ import annotations

import filecmp
import gzip
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

# What compresses well; everything else is left to the edge.
COMPRESSIBLE = frozenset(["css", "js", "mjs", "json", "map", "svg", "xml", "txt", "html", "wasm", "ttf", "otf", "ico"])
ELSEWHERE = "a link that leads elsewhere, or nowhere"
# What clients look for at the root of a site (RFC 8615).
WELL_KNOWN = ".well-known"
# A smaller file fits one packet anyway.
COMPRESS_MIN_BYTES = 1024
# The best quality takes two seconds and more for this much; 9 a twentieth of that, for a tenth more bytes.
BROTLI_BEST_MAX_BYTES = 1024 * 1024


class Rule(NamedTuple):
    """Which files are published.

    kinds: the last suffix has to be one of these, in lower case; "" is a name without any. forbidden: nor may a suffix before it be one of these (main.py.txt is a
    source file, whatever it is called). is_root: the folder is the root of a site, and has WELL_KNOWN; the edge refuses such a
    folder anywhere else.
    """

    kinds: Collection[str]
    forbidden: Collection[str]
    is_root: bool = False

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
            hidden = name.startswith(".") and not (rule.is_root and here == source and name == WELL_KNOWN)
            if (here / name).is_symlink() or hidden or name == "__pycache__":
                folders.remove(name)
                why = "hidden"
                if (here / name).is_symlink():
                    target = Path(os.path.realpath(here / name))
                    near = target.is_relative_to(inside) or target.is_relative_to(kept)
                    why = "a link to a folder" if near else ELSEWHERE
                yield str((here / name).relative_to(source)), why
        for name in names:
            path = here / name
            # There names are often without a suffix.
            below = here.is_relative_to(source / WELL_KNOWN)
            why = (rule._replace(kinds={*rule.kinds, ""}) if below else rule).against(name)
            if not why and path.is_symlink():
                target = Path(os.path.realpath(path))  # which does not mind a circle
                lost = not target.is_relative_to(inside) or rule.against(target.name)
                why = ELSEWHERE if lost or not target.is_file() else ""
            elif not why and not stat.S_ISREG(path.lstat().st_mode):
                why = "no regular file"
            yield str(path.relative_to(source)), why


def publish(source: Path, target: Path, rule: Rule, shared: Path, before: Path) -> list[str]:
    """Copy what may be published to a new folder, with twins of what compresses well; return what was left out, and why.

    before: the same folder of the release before, whose twins serve again where a file is the same.

    A link elsewhere is removed: by its name the edge would let a visitor ask the application's own static route
    for it, which follows links.
    """
    refused = []
    compressible = []
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
            compressible.append(name)
    compress(compressible, target, before)
    return refused


def twin(path: Path, suffix: str) -> Path:
    """Return where the twin of a file is."""
    return path.with_name(path.name + suffix)


def compress(names: list[str], target: Path, before: Path) -> None:
    """Write a .gz and a .br twin next to each file, unless it saves less than a tenth."""
    brotli = shutil.which("brotli")
    wanted: dict[str, list[Path]] = {".gz": [], ".br": []}
    for name in names:
        same = (before / name).is_file() and filecmp.cmp(before / name, target / name, shallow=False)
        for suffix, paths in wanted.items():
            if same and twin(before / name, suffix).is_file():
                shutil.copyfile(twin(before / name, suffix), twin(target / name, suffix))
            elif suffix == ".gz" or brotli:
                paths.append(target / name)
    for path in wanted[".gz"]:
        made = twin(path, ".gz")
        with path.open("rb") as plain, made.open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
            shutil.copyfileobj(plain, packed)
    if brotli:
        run_brotli(brotli, wanted[".br"])
    for path in (target / name for name in names):
        for made in (twin(path, suffix) for suffix in wanted):
            if made.exists() and made.stat().st_size < 0.9 * path.stat().st_size:
                shutil.copystat(path, made)  # one Last-Modified for all
            else:
                made.unlink(missing_ok=True)


def run_brotli(program: str, paths: list[Path]) -> None:
    """Have brotli(1) write the twins of files, on all cores. Raises OSError."""
    cores = os.cpu_count() or 1
    large = [path for path in paths if path.stat().st_size > BROTLI_BEST_MAX_BYTES]
    small = [path for path in paths if path not in large]
    running = []
    for quality, batch in (("11", small), ("9", large)):
        for share in filter(None, (batch[core::cores] for core in range(cores))):
            argv = [program, f"--quality={quality}", "--force", "--", *map(str, share)]
            running.append(subprocess.Popen(argv, stderr=subprocess.PIPE, text=True))
    said = [process.communicate()[1] for process in running]
    if failed := [words for words, process in zip(said, running, strict=True) if process.returncode]:
        raise OSError(f"brotli: {failed[0].strip()}")
