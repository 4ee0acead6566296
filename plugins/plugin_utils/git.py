"""An application's source from a folder or a git repository. git runs here, with the rights of whoever deploys."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.slipway.flask.plugins.plugin_utils.files import Entries, RefusedError, SourceError, entry

# What a repository's own configuration could have git run (githooks(5), git-config(1)). What is fetched is checked, except for
# what old programs wrote into many histories.
SAFE = (
    "core.fsmonitor=false",
    f"core.hooksPath={os.devnull}",
    "fetch.fsckObjects=true",
    "fetch.fsck.duplicateEntries=warn",  # git would not say where; doubled() does
    "fetch.fsck.badTimezone=ignore",
    "fetch.fsck.missingSpaceBeforeDate=ignore",
    "fetch.fsck.zeroPaddedFilemode=ignore",
)
TRANSPORTS = "file:git:http:https:ssh"


def git(*arguments: str, cwd: Path | None = None, transports: str = "", settings: Sequence[str] = ()) -> bytes:
    """Run git without ever asking for a password; return its output, raise SourceError with its last words.

    transports: those it may use; none by default, as a repository can have git fetch what it lacks. settings: more
    configuration, each `name=value`. git itself refuses a folder that belongs to another user (safe.directory).
    """
    result = subprocess.run(
        ["git", *(word for setting in (*SAFE, *settings) for word in ("-c", setting)), *arguments],
        cwd=cwd,
        env={**os.environ, "GIT_ALLOW_PROTOCOL": transports, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if result.returncode != 0:
        raise SourceError(result.stderr.decode(errors="replace").strip())
    return result.stdout


def own_filters(folder: Path) -> list[str]:
    """Return settings that switch off the filters which a repository's own configuration has (gitattributes(5))."""
    scope = ["config", "--null", "--name-only", "--show-scope", "--get-regexp", r"^filter\."]
    try:
        words = git(*scope, cwd=folder).decode().split("\0")
    except SourceError:  # no filter is configured
        return []
    names = {name for where, name in itertools.pairwise(words[:-1]) if where in ("local", "worktree")}
    if odd := [name for name in names if "=" in name]:
        raise SourceError(f"app_source: its .git/config has a filter that cannot be switched off: {odd[0]}. Remove it.")
    return [f"{name}={'false' if name.endswith('.required') else ''}" for name in sorted(names)]


def is_repository(folder: Path) -> bool:
    """Whether a folder is part of a git repository's work tree. Raises SourceError where git does not trust its owner."""
    try:
        git("rev-parse", "--is-inside-work-tree", cwd=folder)
    except SourceError as error:
        if "dubious ownership" in str(error):
            raise SourceError(
                f"app_source: git does not read {folder}, which belongs to another user. Change its owner, or trust it: "
                f"git config --global --add safe.directory {folder}"
            ) from None
        return False
    return True


def is_changed(folder: Path) -> bool:
    """Whether a folder has changes that are in no commit. Submodules are not looked into: they have their own filters."""
    question = ["diff", "--quiet", "--no-ext-diff", "--no-textconv", "--ignore-submodules=all", "HEAD", "--"]
    try:
        git(*question, cwd=folder, settings=own_filters(folder))
    except SourceError:
        return True
    return False


def is_ignored(folder: Path) -> bool:
    """Whether a repository leaves a folder out, as it does the output of a build."""
    try:
        git("check-ignore", "--quiet", ".", cwd=folder)
    except SourceError:
        return False
    return True


def folder_entries(folder: Path) -> Entries:
    """Yield what git would take from a folder: everything but what .gitignore names.

    It need not be a repository. Of one that is ignored itself, the .gitignore files of the folders above do not count.
    """
    commit = ""
    if is_repository(folder):
        with contextlib.suppress(SourceError):  # no commit yet
            commit = git("rev-parse", "--short", "HEAD", cwd=folder).decode().strip()
            commit += "-dirty" if is_changed(folder) else ""
    if is_repository(folder) and not is_ignored(folder):
        listing = git("ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=folder)
    else:
        with tempfile.TemporaryDirectory() as empty:
            git("init", "--quiet", "--bare", empty)
            where = [f"--git-dir={empty}", f"--work-tree={folder}"]
            listing = git(*where, "ls-files", "-z", "--others", "--exclude-standard", cwd=folder)
    for name in sorted(set(os.fsdecode(listing).split("\0")) - {""}):
        path = folder / name
        if path.is_dir() and not path.is_symlink() and (path / ".git").exists():  # a submodule
            for info, content in folder_entries(path):
                info.name = f"{name.rstrip('/')}/{info.name}"
                yield info, content
            continue
        if path.is_symlink():
            yield entry(name, 0, link=str(path.readlink())), b""
        elif path.is_file():  # git also lists what was deleted
            content = path.read_bytes()
            yield entry(name, path.stat().st_mode, len(content)), content
    return commit


def doubled(commit: str, clone: Path) -> str:
    """Return a path that occurs twice in a commit; empty where no path does."""
    seen: set[bytes] = set()
    for path in git("ls-tree", "-r", "-t", "-z", "--name-only", commit, cwd=clone).split(b"\0"):
        if path in seen:
            return os.fsdecode(path)
        seen.add(path)
    return ""


def git_entries(url: str, ref: str, subfolder: str) -> Entries:
    """Yield the files of one commit of a repository, with as little history as the server allows."""
    fetch = ["fetch", "--quiet"]
    with tempfile.TemporaryDirectory() as temporary:
        clone = Path(temporary)
        git("init", "--quiet", "--bare", temporary)
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
        if twice := doubled(commit.decode().strip(), clone):
            raise RefusedError(f"app_source: {twice!r} is there twice in this commit. Remove it from the source.")
        tree = f"{commit.decode().strip()}:{subfolder.strip('/')}"
        try:
            packed = git("archive", "--format=tar", tree, cwd=clone)
        except SourceError as error:
            raise SourceError(f"app_source_path: no folder {subfolder!r} in this commit ({error})") from None
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for member in sorted(archive.getmembers(), key=lambda member: member.name):
            if member.name == ".gitmodules":
                raise SourceError("it has submodules, which work from a folder only: check it out and name the folder")
            if member.issym():
                yield entry(member.name, 0, link=member.linkname), b""
            elif member.isfile():
                stream = archive.extractfile(member)
                content = stream.read() if stream else b""
                yield entry(member.name, member.mode, len(content)), content
    return commit.decode()[:12]
