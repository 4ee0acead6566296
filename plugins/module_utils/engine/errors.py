"""Errors of the steps of a release, in words for the person who deploys."""

from __future__ import annotations

import errno
import os
from pathlib import Path

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
# As the programs of a build say it.
FULL = os.strerror(errno.ENOSPC)


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
