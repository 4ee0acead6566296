"""An application's source as one archive.

It is deterministic: the same files give the same bytes, so that they alone decide whether anything changed and the release
id, which is derived from it, stays the same.
"""

from __future__ import annotations

import gzip
import io
import re
import tarfile
from pathlib import Path
from typing import NamedTuple

from ansible_collections.slipway.flask.plugins.plugin_utils.files import Entries, RefusedError, SourceError, checked
from ansible_collections.slipway.flask.plugins.plugin_utils.git import folder_entries, git_entries

# scheme://… and the scp form user@host:path (git-fetch(1), GIT URLS).
GIT_URL = re.compile(r"^((https?|ssh|git|file)://|[\w.-]+@[\w.-]+:)")
# What may be fetched by its name: no option, no refspec, no pattern (git-check-ref-format(1)).
REF = re.compile(r"(?![-+])[^\s:*?\[\\^~]+")
# What may be before the host: https://user:token@host/…
PASSWORD = re.compile(r"(://)[^/\s'\"]*@")


def entries(source: str, ref: str, subfolder: str) -> Entries:
    """Yield the application's files from a folder, or from git where the source is a URL or a ref is asked for."""
    local = Path(source).expanduser()
    if ref and not REF.fullmatch(ref):
        raise SourceError(
            f"app_source_ref: {ref!r} cannot name a branch, a tag or a commit. Name one, such as main or v1.2."
        )
    if GIT_URL.match(source) or ref:
        if local.is_dir():  # git does not run where the play does
            source = str(local.resolve())
        try:
            return (yield from git_entries(source, ref, subfolder))
        except RefusedError:
            raise
        except SourceError as error:
            problem = f"app_source, app_source_ref: git cannot fetch {ref or 'HEAD'!r} from {source!r}: {error}. "
            raise SourceError(
                PASSWORD.sub(r"\1", problem)
                + "Check the address, that the ref exists and was pushed, and that this machine may read it."
            ) from None
    folder = local / subfolder
    if not source or not folder.is_dir():
        raise SourceError(
            f"app_source: the folder {str(folder) if source else ''!r} does not exist on the control machine. "
            "Name an existing folder, or a git URL such as https://host/user/project.git."
        )
    return (yield from folder_entries(folder.resolve()))


class Packed(NamedTuple):
    """An application's source. archive: gzipped tar, the same bytes for the same files. commit: empty where there is none."""

    archive: bytes
    commit: str


def pack(source: str, ref: str = "", subfolder: str = "") -> Packed:
    """Pack the source.

    Raises SourceError where the source does not exist or has no file.
    """
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=6, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.GNU_FORMAT) as archive,
    ):
        files = checked(entries(source, ref, subfolder))
        try:
            while True:
                info, content = next(files)
                archive.addfile(info, io.BytesIO(content))
        except StopIteration as end:
            commit: str = end.value
        empty = not archive.getmembers()
    if empty:
        raise SourceError(f"app_source: {source!r} has no files (after .gitignore). Name the application's folder.")
    return Packed(buffer.getvalue(), commit)
