"""The files of an application's source: of a folder, or of a commit that git fetches."""

from __future__ import annotations

import contextlib
import io
import os
import re
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.slipway.flask.plugins.plugin_utils.excluding import left_out
from ansible_collections.slipway.flask.plugins.plugin_utils.files import (
    Entries,
    Origin,
    RefusedError,
    SourceError,
    entry,
)
from ansible_collections.slipway.flask.plugins.plugin_utils.git import (
    TRANSPORTS,
    git,
    is_changed,
    is_ignored,
    is_repository,
)
from ansible_collections.slipway.flask.plugins.plugin_utils.siblings import needs_siblings


def is_versioned(folder: Path) -> bool:
    """Whether git says what of a folder counts; of one that is ignored itself, the .gitignore files above do not count."""
    return is_repository(folder) and not is_ignored(folder)


def untracked(folder: Path, *options: str) -> set[str]:
    """Return what git does not track of a folder, which need not be a repository. options: of git-ls-files(1)."""
    question = ["ls-files", "-z", "--others", "--exclude-standard", *options]
    if is_versioned(folder):
        names = git(*question, cwd=folder)
    else:
        with tempfile.TemporaryDirectory() as empty:
            git("init", "--quiet", "--bare", empty)
            names = git(f"--git-dir={empty}", f"--work-tree={folder}", *question, cwd=folder)
    return {*os.fsdecode(names).split("\0")} - {""}


def listed(folder: Path) -> tuple[set[str], set[str]]:
    """Return what git tracks of a folder, and what else is there but for what .gitignore names."""
    tracked = git("ls-files", "-z", "--cached", cwd=folder) if is_versioned(folder) else b""
    return {*os.fsdecode(tracked).split("\0")} - {""}, untracked(folder)


def folder_entries(folder: Path, exclude: Sequence[str] = (), prefix: str = "") -> Entries:
    """Yield the files of a folder that listed() and left_out() leave. prefix: of their names, as that of a submodule."""
    commit = ""
    if is_repository(folder):
        with contextlib.suppress(SourceError):  # no commit yet
            commit = git("rev-parse", "--short", "HEAD", cwd=folder).decode().strip()
            commit += "-dirty" if is_changed(folder) else ""
    tracked, others = ({prefix + name for name in names} for names in listed(folder))
    left = left_out(tracked, others, exclude)
    for name in sorted((tracked | others) - left.keys()):
        path = folder / name.removeprefix(prefix)
        if path.is_dir() and not path.is_symlink() and (path / ".git").exists():  # a submodule
            left |= (yield from folder_entries(path, exclude, f"{name.rstrip('/')}/")).left
        elif path.is_symlink():
            yield entry(name, 0, link=str(path.readlink())), b""
        elif path.is_file():  # git also lists what was deleted
            content = path.read_bytes()
            yield entry(name, path.stat().st_mode, len(content)), content
    return Origin(commit, left)


def doubled(commit: str, clone: Path) -> str:
    """Return a path that occurs twice in a commit; empty where no path does."""
    seen: set[bytes] = set()
    for path in git("ls-tree", "-r", "-t", "-z", "--name-only", commit, cwd=clone).split(b"\0"):
        if path in seen:
            return os.fsdecode(path)
        seen.add(path)
    return ""


def fetched(url: str, ref: str, clone: Path) -> str:
    """Fetch a commit into an empty repository, with as little history as the server allows; return the commit."""
    fetch = ["fetch", "--quiet"]
    try:
        git(*fetch, "--depth=1", "--end-of-options", url, ref or "HEAD", cwd=clone, transports=TRANSPORTS)
        commit = git("rev-parse", "FETCH_HEAD^{commit}", cwd=clone)
    except SourceError as error:
        if not re.fullmatch(r"[0-9a-f]{4,40}", ref):
            raise
        # A server may refuse to hand out a bare commit, and does not know abbreviated ones.
        everything = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]
        git(*fetch, "--end-of-options", url, *everything, cwd=clone, transports=TRANSPORTS)
        try:
            commit = git("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", cwd=clone)
        except SourceError:
            raise error from None
    return commit.decode().strip()


def committed(path: str, clone: Path) -> str:
    """Return the text of a file, `commit:path`; empty where the commit has no such file."""
    try:
        return git("show", path, cwd=clone).decode(errors="replace")
    except SourceError:
        return ""


def git_entries(url: str, ref: str, subfolder: str, exclude: Sequence[str] = ()) -> Entries:
    """Yield the files of one commit of a repository, but for what `exclude` names."""
    with tempfile.TemporaryDirectory() as temporary:
        clone = Path(temporary)
        git("init", "--quiet", "--bare", temporary)
        commit = fetched(url, ref, clone)
        if twice := doubled(commit, clone):
            raise RefusedError(f"app_source: {twice!r} is there twice in this commit. Remove it from the source.")
        folder = subfolder.strip("/")
        try:
            packed = git("archive", "--format=tar", f"{commit}:{folder}", cwd=clone)
            if folder and needs_siblings(lambda name: committed(f"{commit}:{folder}/{name}", clone)):
                packed = git("archive", "--format=tar", commit, cwd=clone)
            else:
                folder = ""
        except SourceError as error:
            raise RefusedError(
                f"app_source_path: {ref or 'HEAD'} has no folder {subfolder!r} ({error}). Name one that this commit has."
            ) from None
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        members = {member.name: member for member in archive if not member.isdir()}
        left = left_out(set(members), set(), exclude)
        for name in sorted(members.keys() - left.keys()):
            member = members[name]
            if name == ".gitmodules":
                raise RefusedError(
                    "app_source: it has submodules, which Slipway takes from a folder only. Clone it with --recurse-submodules, "
                    "and set app_source to that folder."
                )
            if member.issym():
                yield entry(name, 0, link=member.linkname), b""
            elif member.isfile():
                stream = archive.extractfile(member)
                content = stream.read() if stream else b""
                yield entry(name, member.mode, len(content)), content
    return Origin(commit[:12], left, folder)
