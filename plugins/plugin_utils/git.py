"""git, which runs here, with the rights of whoever deploys, and what it says of a folder."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.slipway.flask.plugins.plugin_utils.files import SourceError

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


def git(
    *arguments: str, cwd: Path | None = None, transports: str = "", settings: Sequence[str] = (), text: bytes = b""
) -> bytes:
    """Run git without ever asking for a password; return its output, raise SourceError with its last words.

    transports: those it may use; none by default, as a repository can have git fetch what it lacks. settings: more
    configuration, each `name=value`. text: for it to read. git itself refuses a folder that belongs to another user
    (safe.directory).
    """
    result = subprocess.run(
        ["git", *(word for setting in (*SAFE, *settings) for word in ("-c", setting)), *arguments],
        cwd=cwd,
        env={**os.environ, "GIT_ALLOW_PROTOCOL": transports, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
        input=text,
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
