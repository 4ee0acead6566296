"""An application's source as one archive.

It is deterministic: the same files give the same bytes, so that they alone decide whether anything changed and the release
id, which is derived from it, stays the same.
"""

from __future__ import annotations

import gzip
import io
import re
import tarfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ansible_collections.slipway.flask.plugins.plugin_utils import container_templates, output
from ansible_collections.slipway.flask.plugins.plugin_utils.excluding import unneeded
from ansible_collections.slipway.flask.plugins.plugin_utils.files import (
    Entries,
    Origin,
    RefusedError,
    SourceError,
    checked,
)
from ansible_collections.slipway.flask.plugins.plugin_utils.siblings import needs_siblings, text_of
from ansible_collections.slipway.flask.plugins.plugin_utils.sources import folder_entries, git_entries, untracked

# scheme://… and the scp form user@host:path (git-fetch(1), GIT URLS).
GIT_URL = re.compile(r"^((https?|ssh|git|file)://|[\w.-]+@[\w.-]+:)")
# What may be fetched by its name: no option, no refspec, no pattern (git-check-ref-format(1)).
REF = re.compile(r"(?![-+])[^\s:*?\[\\^~]+")
# What may be before the host: https://user:token@host/…
PASSWORD = re.compile(r"(://)[^/\s'\"]*@")
# A file, and an archive, of more bytes than these is named, as each new release brings it again.
LARGE_FILE, LARGE_ARCHIVE = 10_000_000, 100_000_000
MOST_NAMED = 5


def entries(source: str, ref: str, subfolder: str, exclude: Sequence[str]) -> Entries:
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
            return (yield from git_entries(source, ref, subfolder, exclude))
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
    if subfolder and needs_siblings(lambda name: text_of(folder / name)):
        origin = yield from folder_entries(local.resolve(), exclude)
        return origin._replace(folder=subfolder.strip("/"))
    return (yield from folder_entries(folder.resolve(), exclude))


def in_short(found: dict[str, str]) -> str:
    """Return paths by what names them: those of the same pattern are counted."""
    counts = Counter(found.values())
    alone = {pattern: name for name, pattern in found.items()}
    return ", ".join(f"{what} ({count} files)" if count > 1 else alone[what] for what, count in sorted(counts.items()))


def notes(left: dict[str, str], taken: dict[str, str], sizes: dict[str, int], archive_size: int) -> list[str]:
    """Return what the person who deploys should know of a source.

    left: paths that were left out, each with what names it. taken: those that were not, as git tracks them. sizes: of all
    files that were not, in bytes.
    """
    said = []
    if left:
        said.append(
            f"app_source: left out {in_short(left)}. Settings of a .env belong in app_env. If the application needs one of these, add it, "
            "as it is named here, to app_source_exclude with an exclamation mark first, such as '!data/cities.db'."
        )
    if taken:
        said.append(
            f"app_source: what git tracks travels to the server with each release, so does {in_short(taken)}. If that is not wanted, list it in "
            "app_source_exclude; if it is, list it there with an exclamation mark first, such as '!data/cities.db'. Secrets belong in app_env."
        )
    large = sorted((name for name in sizes if sizes[name] > LARGE_FILE), key=lambda name: -sizes[name])
    named = [f"{name} ({sizes[name] // 1_000_000} MB)" for name in large[:MOST_NAMED]]
    named += [f"{len(large) - MOST_NAMED} more files"] if len(large) > MOST_NAMED else []
    named += [f"{archive_size // 1_000_000} MB in all, compressed"] if archive_size > LARGE_ARCHIVE else []
    if named:
        said.append(
            f"app_source: large: {', '.join(named)}. app_source_exclude leaves out what the application does not need."
        )
    return said


class Packed(NamedTuple):
    """An application's source.

    archive: gzipped tar, the same bytes for the same files. commit: empty where there is none. notes: see notes().
    folder: the application's in the archive, where that has all of the source.
    """

    archive: bytes
    commit: str
    notes: list[str]
    folder: str


def pack(source: str, ref: str = "", subfolder: str = "", exclude: Sequence[str] = (), published: str = "") -> Packed:
    """Pack the source. exclude: patterns of what stays behind, in the notation of .gitignore. published: a folder; of
    what a build made in it on this machine, it is said that it stays behind.

    Raises SourceError where the source does not exist or has no file.
    """
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=6, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.GNU_FORMAT) as archive,
    ):
        files = checked(entries(source, ref, subfolder, exclude))
        try:
            while True:
                info, content = next(files)
                archive.addfile(info, io.BytesIO(content))
        except StopIteration as end:
            origin: Origin = end.value
        sizes = {member.name: member.size for member in archive.getmembers()}
    if not sizes:
        raise SourceError(
            f"app_source: {source!r} has no files (after .gitignore and app_source_exclude). Name the application's folder."
        )
    packed = buffer.getvalue()
    prefix = f"{origin.folder}/" if origin.folder else ""
    own = {name.removeprefix(prefix) for name in sizes if name.startswith(prefix)}
    said = notes(origin.left, unneeded(set(sizes), exclude), sizes, len(packed)) + container_templates.advice_on_files(
        own
    )
    if published and not GIT_URL.match(source) and not ref:
        folder = Path(source).expanduser() / subfolder
        said += output.advice(folder, published, untracked(folder, "--ignored", "--directory"))
    return Packed(packed, origin.commit, said, origin.folder)
