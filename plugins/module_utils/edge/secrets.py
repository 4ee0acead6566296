"""The files of a web server that only root and its workers may read: who may log in."""

from __future__ import annotations

import grp
import os
from collections.abc import Iterator
from pathlib import Path

MODE, SECRET_MODE = 0o644, 0o640
GROUP = "www-data"  # of nginx's and of Apache's workers, in Debian
NOT_SHOWN = "(not shown)\n"


class Secrets:
    """Some files below a root, by their paths there.

    prefix: what the paths of all such files begin with, also of those that are not wanted any more; empty where there are none.
    """

    def __init__(self, root: Path, prefix: str, wanted: dict[str, bytes]) -> None:
        self.root, self.prefix, self.wanted = root, prefix, wanted

    def rights(self, path: str) -> tuple[int, int]:
        """Return the group and the mode that a file has, a secret one or another."""
        return (grp.getgrnam(GROUP).gr_gid, SECRET_MODE) if path in self.wanted else (0, MODE)

    def former(self) -> Iterator[str]:
        """Yield the files that are not wanted any more."""
        for file in sorted(self.root.glob(f"{self.prefix}*")) if self.prefix else ():
            if (path := str(file.relative_to(self.root))) not in self.wanted:
                yield path

    @staticmethod
    def write(file: Path, content: bytes, group: int, mode: int) -> None:
        """Write a file that nobody else reads before it is complete."""
        file.unlink(missing_ok=True)
        file.touch(mode & 0o600)
        file.write_bytes(content)
        os.chown(file, 0, group)
        file.chmod(mode)

    def shown(self, path: str, text: str, word: str = "") -> str:
        """Return what a diff shows of a file's text."""
        secret = path in self.wanted or (self.prefix and path.startswith(self.prefix))
        return text and NOT_SHOWN + word if secret else text
