"""The files of an application's source, as entries of an archive, and why they cannot be had."""

from __future__ import annotations

import tarfile
from collections.abc import Generator
from pathlib import PurePosixPath
from typing import NamedTuple


class Origin(NamedTuple):
    """Where files are from. commit: empty where there is none. left: the paths that were left out, each with what names it.

    folder: the application's, where the files are those of all the source; empty otherwise.
    """

    commit: str
    left: dict[str, str]
    folder: str = ""


# Yields the files; returns where they are from.
Entries = Generator[tuple[tarfile.TarInfo, bytes], None, Origin]


class SourceError(Exception):
    """The source cannot be fetched: the message names the variable, the cause and the fix."""


class RefusedError(SourceError):
    """The source is there, but cannot be used as it is."""


def entry(name: str, mode: int, size: int = 0, link: str = "") -> tarfile.TarInfo:
    """Return a tar header that holds nothing of the machine it was made on: no owner, no time, one of two modes."""
    info = tarfile.TarInfo(name)
    info.mode = 0o755 if mode & 0o100 else 0o644
    info.size = size
    if link:
        info.type, info.linkname = tarfile.SYMTYPE, link
    return info


def checked(files: Entries) -> Entries:
    """Yield the same files. Raises SourceError for one that would be laid out elsewhere than its path says."""
    kinds: dict[str, bool] = {}  # whether it is a link, by path
    while True:
        try:
            info, content = next(files)
        except StopIteration as end:
            origin: Origin = end.value
            return origin
        path = PurePosixPath(info.name)
        wrong = ""
        if path.is_absolute() or ".." in path.parts or ".git" in (part.lower() for part in path.parts):
            wrong = "is not below the application's folder, or is a file of git"
        elif info.name in kinds:
            wrong = "is there twice"
        elif link := next((str(above) for above in path.parents if str(above) in kinds), ""):
            wrong = f"is below {link!r}, which is {'a link' if kinds[link] else 'a file'}"
        if wrong:
            raise RefusedError(f"app_source: {info.name!r} {wrong}. Remove it from the source.")
        kinds[info.name] = info.issym()
        yield info, content
