"""Pack the application's source on the control machine and bring it to the server.

The archive is deterministic: the same files give the same bytes, so that they alone decide whether anything changed
and the release id, which is derived from it, stays the same.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import itertools
import os
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

# scheme://… and the scp form user@host:path (git-fetch(1), GIT URLS).
GIT_URL = re.compile(r"^((https?|ssh|git|file)://|[\w.-]+@[\w.-]+:)")
# What may be fetched by its name: no option, no refspec, no pattern (git-check-ref-format(1)).
REF = re.compile(r"(?![-+])[^\s:*?\[\\^~]+")
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
# An archive of at most this many bytes travels with the module that writes it, in one round trip; `copy` takes four.
MOST_INLINE_BYTES = 1 << 20
TRANSPORTS = "file:git:http:https:ssh"
# What may be before the host: https://user:token@host/…
PASSWORD = re.compile(r"(://)[^/\s'\"]*@")


# Yields the files; returns the commit they are of, empty where there is none.
Entries = Generator[tuple[tarfile.TarInfo, bytes], None, str]


class SourceError(Exception):
    """The source cannot be fetched: the message names the variable, the cause and the fix."""


class RefusedError(SourceError):
    """The source is there, but something in it could be laid out elsewhere than its path says."""


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


def entry(name: str, mode: int, size: int = 0, link: str = "") -> tarfile.TarInfo:
    """Return a tar header that holds nothing of the machine it was made on: no owner, no time, one of two modes."""
    info = tarfile.TarInfo(name)
    info.mode = 0o755 if mode & 0o100 else 0o644
    info.size = size
    if link:
        info.type, info.linkname = tarfile.SYMTYPE, link
    return info


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


def folder_entries(folder: Path) -> Entries:
    """Yield what git would take from a folder: everything but what .gitignore names. It need not be a repository."""
    commit = ""
    if is_repository(folder):
        with contextlib.suppress(SourceError):  # no commit yet
            commit = git("rev-parse", "--short", "HEAD", cwd=folder).decode().strip()
            commit += "-dirty" if is_changed(folder) else ""
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


def checked(files: Entries) -> Entries:
    """Yield the same files. Raises SourceError for one that would be laid out elsewhere than its path says."""
    kinds: dict[str, bool] = {}  # whether it is a link, by path
    while True:
        try:
            info, content = next(files)
        except StopIteration as end:
            return str(end.value)
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
            f"app_source: there is no folder {str(folder) if source else ''!r} on the control machine. "
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


class ActionModule(ActionBase):
    """See plugins/modules/release_source.py."""

    TRANSFERS_FILES = False  # a large archive is transferred by `copy`
    _VALID_ARGS = frozenset(("source", "ref", "path", "dest", "group", "mode"))

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Pack the source; with `dest`, bring it there."""
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        source, ref, path = (str(arguments.pop(key, "") or "") for key in ("source", "ref", "path"))
        try:
            packed = pack(source, ref, path)
        except SourceError as error:
            raise AnsibleActionFail(str(error)) from None
        said = {"size": len(packed.archive), "version": " ".join(filter(None, [ref, packed.commit])) or source}
        if "dest" not in arguments:
            return {"changed": False, **said}
        if len(packed.archive) <= MOST_INLINE_BYTES:
            dest = Path(arguments["dest"])
            content = base64.b64encode(packed.archive).decode()
            files = [{"dest": dest.name, "content": content, "mode": arguments["mode"]}]
            wanted = {"dest": str(dest.parent), "group": arguments["group"], "files": files}
            # The module would write its arguments to the server's journal.
            variables = {**(task_vars or {}), "ansible_no_target_syslog": True}
            return {**self._execute_module("slipway.flask.write_files", wanted, task_vars=variables), **said}
        with tempfile.NamedTemporaryFile(suffix=".tar.gz") as archive:
            archive.write(packed.archive)
            archive.flush()
            task = self._task.copy()
            task.args = {**arguments, "owner": "root", "src": archive.name}
            copy = self._shared_loader_obj.action_loader.get(
                "ansible.legacy.copy",
                task=task,
                connection=self._connection,
                play_context=self._play_context,
                loader=self._loader,
                templar=self._templar,
                shared_loader_obj=self._shared_loader_obj,
            )
            return {**copy.run(task_vars=task_vars), **said}
