"""Files that two releases have alike are kept once: hard links among what only root can change."""

from __future__ import annotations

import filecmp
import os
from pathlib import Path

# Byte code names the time of the source that it was made from: next to a source with another time it counts for nothing.
TIMED = ".py"


def keep_once(folder: Path, before: Path) -> None:
    """Replace each file of a folder by a hard link to the one of another folder, where they are alike.

    Both are sealed: who may write to one of the files writes to both. No link is followed, in neither of them.
    """
    before = before.resolve()
    fresh = folder.with_name(".shared.next")  # root's own, whatever names are in the folder
    fresh.unlink(missing_ok=True)
    for place, _, names in os.walk(folder):
        theirs = before / Path(place).relative_to(folder)
        if theirs.resolve() != theirs or not theirs.is_dir():
            continue
        for name in names:
            if alike(Path(place, name), theirs / name):
                fresh.hardlink_to(theirs / name)
                fresh.rename(Path(place, name))


def alike(one: Path, other: Path) -> bool:
    """Whether two paths are files that cannot be told apart, but for the time of those that are not Python's own."""
    if any(path.is_symlink() or not path.is_file() for path in (one, other)):
        return False
    ours, theirs = one.stat(), other.stat()
    counts = ["st_dev", "st_uid", "st_gid", "st_mode", "st_size"] + (["st_mtime_ns"] if one.suffix == TIMED else [])
    return all(getattr(ours, name) == getattr(theirs, name) for name in counts) and filecmp.cmp(
        one, other, shallow=False
    )
