"""Errors of the steps of a release, in words for the person who deploys."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
# As the programs of a build say it.
FULL = os.strerror(errno.ENOSPC)

# An application that writes where it may not, in the words of the C library, where they name the file as Python does, and of SQLite.
READ_ONLY = re.compile(
    "(?:Read-only file system|Permission denied)(?:: '([^'\n]+)')?|unable to open database file|attempt to write a readonly database"
)


class ReleaseError(Exception):
    """A step of a release failed; the message is for the person who deploys."""


def no_room(home: Path) -> str:
    """Return what to say where the disk is full."""
    return (
        f"The disk of {home} is full; the active release was left as it is. Make room "
        "(df -h; du -xh --max-depth=2 / | sort -h | tail), or lower app_releases_kept, then deploy again. "
        "If the disk is not full: the /tmp of a build is in memory, and may fill half of it (app_build_service: TemporaryFileSystem)."
    )


def last_lines(text: str, count: int = 40) -> str:
    """Return the end of a long output, where the reason is, with control characters escaped."""
    end = "\n".join(text.strip().splitlines()[-count:])
    return "".join(one if one.isprintable() or one in "\n\t" else one.encode("unicode_escape").decode() for one in end)


def read_only(text: str, code: Path) -> str:
    """Return a line that says what to do where a program's output shows that it may not write to a file; empty where it does not.

    code: the application's folder, from which the program was started.
    """
    code = code.resolve()  # it may be a link, and programs name files by where they are
    found = list(READ_ONLY.finditer(text))
    if not found:
        return ""
    paths = [Path(os.path.normpath(code / match[1])) for match in found if match[1]]
    folders = [path.parent if path.suffix else path for path in paths]
    below = [str(folder.relative_to(code)) for folder in folders if code in folder.parents]
    add = (
        f'Add "{below[-1]}" to them.'
        if below
        else "If it wants to write a file, add the file's folder, which has to be below the source."
    )
    return f"\napp_shared_dirs: the application may write only to the folders that are named there. {add}"
