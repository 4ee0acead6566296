"""The files of a web server's configuration, replaced all or none, if the server accepts the outcome.

What roles/nginx and roles/apache have in common; each brings how its server is asked, and what it lets pass.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

MODE = 0o644
RESTART = "restart"
FILE = {"path": {"type": "str", "required": True}, "content": {"type": "str", "required": True}}
PREDECESSOR = {
    "role": {"type": "str", "required": True},
    "program": {"type": "str", "required": True},
    "sites": {"type": "list", "elements": "path", "required": True},
    "reload_due": {"type": "path", "required": True},
}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "files": {"type": "list", "elements": "dict", "default": [], "options": FILE},
    "unlinked": {"type": "list", "elements": "str", "default": []},
    "absent": {"type": "list", "elements": "str", "default": []},
    "listen": {"type": "list", "elements": "str", "default": []},
    "replaces": {"type": "list", "elements": "dict", "default": [], "options": PREDECESSOR},
    "reload_due": {"type": "path", "required": True},
}


class RefusedError(Exception):
    """The files must not be replaced; the text says why."""


def holders(port: int) -> list[str]:
    """Return the programs that listen on a TCP port, each with its process id.

    Source: proc_net(5): in /proc/net/tcp the 2nd field is address:port in hexadecimal, the 4th the
    state (0A is listening), the 10th the socket's inode; proc_pid_fd(5): a process's link to it
    reads socket:[inode].
    """
    rows = [row.split() for name in ("tcp", "tcp6") for row in Path("/proc/net", name).read_text().splitlines()[1:]]
    inodes = {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        # Processes come and go while one looks.
        with contextlib.suppress(OSError):
            if any(str(link.readlink()) in inodes for link in (process / "fd").iterdir()):
                found.append(f"{(process / 'comm').read_text().strip()} (process {process.name})")
    return found


def bindable(host: str, port: int, *, both: bool) -> bool:
    """Whether a program could listen on an address now; `both` opens an IPv6 socket for IPv4 as well."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            # As nginx and Apache open their own.
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                trial.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not both)
            trial.bind((host, port))
    except OSError as error:
        return error.errno != errno.EADDRINUSE
    return True


class EdgeFiles:
    """The files of one web server, and what some of them shall become."""

    program: str  # as ps(1) shows it
    role: str  # whose variables the messages name

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.root = Path(module.params["root"])
        self.due = Path(module.params["reload_due"])
        self.binary = module.get_bin_path(self.program, opt_dirs=["/usr/sbin"])
        self.files = {self.below(file["path"]): file["content"].encode() for file in module.params["files"]}
        self.links: dict[str, str] = {}
        self.written = [path for path in self.files if not self.stands(path)]
        links = [path for path in map(self.below, module.params["unlinked"]) if (self.root / path).is_symlink()]
        absent = [path for path in map(self.below, module.params["absent"]) if os.path.lexists(self.root / path)]
        self.removed = [*links, *absent]
        self.removed += [path for path in self.orphans() if path not in self.removed]
        # A restart that was missed is not made good by a reload.
        self.restart = self.due.exists() and RESTART in self.due.read_text()

    # ------------------------------------------------------------------ what differs from server to server

    def orphans(self) -> Iterator[str]:
        """Yield files that serve nobody any more once the new ones are in place."""
        yield from ()

    def judge(self, folder: Path) -> tuple[bool, str]:
        """Have the server test the configuration in a folder; return if it passes, and what it said."""
        raise NotImplementedError

    def clashes(self, said: str) -> set[str]:
        """Return the server names that two sites claim, from what the server said."""
        raise NotImplementedError

    def free(self, address: str) -> bool:
        """Whether the server could listen on an address now."""
        raise NotImplementedError

    def apart(self, folder: Path) -> set[str]:
        """Return pairs of addresses in the configuration of a folder that the server could not listen on both."""
        del folder
        return set()

    def restarts(self, folder: Path) -> bool:
        """Whether a reload would not do for what the configuration would become, which is in a folder."""
        del folder
        return False

    def sites(self, unknown_hosts: str) -> list[str]:
        """Return the names of the sites the server will have, but for those of unknown hosts."""
        folder, _, besides = unknown_hosts.rpartition("/")
        return sorted(Path(path).stem for path in self.texts(folder, besides))

    # ------------------------------------------------------------------ what is the same

    @property
    def installed(self) -> bool:
        """Whether the server is on this host."""
        return bool(self.binary) and self.root.is_dir()

    @property
    def changed(self) -> bool:
        """Whether anything has to be written or removed."""
        return bool(self.written or self.removed or self.links)

    def below(self, path: str) -> str:
        """Return a path in its plain form. Raises RefusedError where it leads out of the root."""
        plain = os.path.normpath(path)
        if plain.startswith(("/", "..")):
            raise RefusedError(f"files: {path} is not below {self.root}. Give its path relative to it.")
        return plain

    def stands(self, path: str) -> bool:
        """Whether a file is there with the right content, owner and mode."""
        file = self.root / path
        if file.is_symlink() or not file.is_file():
            return False
        stat = file.stat()
        right = (0, 0, MODE)
        return (stat.st_uid, stat.st_gid, stat.st_mode & 0o7777) == right and file.read_bytes() == self.files[path]

    def texts(self, folder: str, besides: str) -> dict[str, str]:
        """Return what the files of a folder will contain, but for those whose name begins in one way."""
        there = (path for path in (self.root / folder).glob("*") if path.is_file())
        found = {str(path.relative_to(self.root)): path.read_text(errors="replace") for path in there}
        found |= {path: text.decode() for path, text in self.files.items() if Path(path).parent == Path(folder)}
        gone = {os.path.normpath(path) for path in self.module.params["absent"] + self.module.params["unlinked"]}
        return {
            path: text
            for path, text in found.items()
            if path not in gone and not Path(path).name.startswith((besides, "."))
        }

    def outcome(self, folder: Path) -> None:
        """Build in an empty folder what the root would become: links to what stays, and new files.

        Relative includes are looked up in it, so the new files find each other.
        """
        for parent, folders, names in os.walk(self.root):
            inside = folder / Path(parent).relative_to(self.root)
            inside.mkdir(exist_ok=True)
            links = [name for name in folders if (Path(parent) / name).is_symlink()]
            for name in names + links:
                (inside / name).symlink_to(Path(parent) / name)
        for path in self.removed:
            (folder / path).unlink()
        for path in [*self.written, *self.links]:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).unlink(missing_ok=True)
        for path in self.written:
            (folder / path).write_bytes(self.files[path])
        for path, target in self.links.items():
            (folder / path).symlink_to((self.root / path).parent / target)

    def taken(self, address: str) -> str:
        """Tell which other program has a port; empty where none has.

        A test of the configuration does not look, and a reload that cannot listen leaves the old configuration
        running without a word (nginx), or ends the server (Apache).
        """
        port = address.rpartition(":")[2]
        if self.free(address):
            return ""
        others = holders(int(port))
        if any(name.startswith(f"{self.program} ") for name in others):
            return ""
        for former in self.module.params["replaces"]:
            if self.precedes(former) and others and all(name.startswith(f"{former['program']} ") for name in others):
                return self.kept(former, port)
        return ", ".join(others)

    def kept(self, former: dict[str, Any], port: str) -> str:
        """Tell which sites keep a port for the server that this one takes over from; empty where none does."""
        word = re.compile(rf"^\s*(?:listen|<virtualhost)\b[^\n]*\b{port}\b", re.MULTILINE | re.IGNORECASE)
        own, *others = (
            [path for path in Path(folder).glob("[!.]*") if path.is_file() and "default-" not in path.name]
            for folder in former["sites"]
        )
        sites = [path for path in own if path.stem not in self.own] + [path for paths in others for path in paths]
        rest = sorted(path.stem for path in sites if word.search(path.read_text(errors="replace")))
        return f"{former['program']}, which serves {', '.join(rest)} there" if rest else ""

    @property
    def own(self) -> set[str]:
        """The names of the sites that are written."""
        return {Path(path).stem for path in self.files if Path(path).parent.name == "sites-enabled"}

    def precedes(self, former: dict[str, Any]) -> bool:
        """Whether another server has something of this site, or was cut off while it gave the site up."""
        theirs = {path.stem for path in Path(former["sites"][0]).glob("[!.]*") if path.is_file()}
        return bool(self.own & theirs) or Path(former["reload_due"]).exists()

    def check(self) -> None:
        """Raise RefusedError where the server refuses the outcome, or lets pass what cannot work."""
        with tempfile.TemporaryDirectory(prefix=f"{self.program}-") as name:
            self.outcome(Path(name))
            passes, said = self.judge(Path(name))
            apart = self.apart(Path(name)) - self.apart(self.root)
            self.restart = self.restart or self.restarts(Path(name))
        if not passes:
            raise RefusedError(
                f"{self.role} refuses this configuration, so no file was changed and {self.role} runs as before.\n{said}"
            )
        if apart:
            raise RefusedError(
                f"{self.role}_listen: {self.role} cannot listen on {'; '.join(sorted(apart))}; no file was changed. Sites of a "
                f"server that share a port name it alike: all of them the port alone, or each an address "
                f"(grep -r '^Listen' {self.root}/sites-enabled)."
            )
        for address in self.module.params["listen"]:
            if others := self.taken(address):
                raise RefusedError(
                    f"{self.role}_listen: {address} is taken by {others}; no file was changed. Stop that program, or give the "
                    "site another port."
                )
        twice = self.clashes(said)
        # A clash that is there already is not this change's doing.
        if twice and (new := twice - self.clashes(self.judge(self.root)[1])):
            raise RefusedError(
                f"Another site of this server has the same server name, and {self.role} would ignore one of the two; no "
                f"file was changed. Give each site its own names ({self.role}_server_names), or take the other one away: "
                f"grep -ri 'server_\\?\\(name\\|alias\\)' {self.root}/sites-enabled\n" + "\n".join(sorted(new))
            )

    def replace(self) -> None:
        """Put the new files in place.

        All are written before the first is renamed, so a full disk changes nothing.
        """
        self.due.write_text(f"{RESTART}\n" if self.restart else "")
        drafts: dict[str, Path] = {}
        try:
            for path in [*self.written, *self.links]:
                # No include matches a name with a leading dot (glob(7)).
                drafts[path] = (self.root / path).with_name(f".{Path(path).name}.new")
                drafts[path].parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                if path in self.links:
                    drafts[path].unlink(missing_ok=True)
                    drafts[path].symlink_to(self.links[path])
                    continue
                drafts[path].write_bytes(self.files[path])
                drafts[path].chmod(MODE)
                os.chown(drafts[path], 0, 0)
            for path, draft in drafts.items():
                draft.replace(self.root / path)
        finally:
            for draft in drafts.values():
                draft.unlink(missing_ok=True)
        for path in self.removed:
            (self.root / path).unlink(missing_ok=True)
            folder = (self.root / path).parent
            if folder.parent != self.root and not any(folder.iterdir()):
                folder.rmdir()

    def diff(self) -> Iterator[dict[str, str]]:
        """Yield Ansible's diff of each file that changes."""
        for path in [*self.written, *self.removed, *self.links]:
            file = self.root / path
            after = f"-> {self.links[path]}\n" if path in self.links else self.files.get(path, b"").decode()
            yield {
                "before_header": str(file),
                "after_header": str(file),
                "before": file.read_text(errors="replace") if file.is_file() else "",
                "after": "" if path in self.removed else after,
            }


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder: of two runs at once the second judges what the first has made."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def run(module: AnsibleModule, kind: type[EdgeFiles], sites: str) -> dict[str, Any]:
    """Do what the arguments say; return the module's result. Raises RefusedError and OSError.

    sites: the folder of the sites, and how the names of files begin in it that close unknown hosts.
    """
    root = Path(module.params["root"])
    with alone(root) if root.is_dir() else contextlib.nullcontext():
        configuration = kind(module)
        result = {
            "changed": configuration.changed or configuration.due.exists(),
            "installed": configuration.installed,
            "written": [*configuration.written, *configuration.links],
            "removed": configuration.removed,
            "sites": configuration.sites(sites),
            "predecessors": [one["role"] for one in module.params["replaces"] if configuration.precedes(one)],
            "diff": list(configuration.diff()),
        }
        if not configuration.installed and not module.check_mode and configuration.files:
            raise RefusedError(
                f"{kind.role}_packages: {kind.program} is not installed. Leave the variable out, or install it before this "
                "role."
            )
        if not configuration.installed:
            result["changed"] = bool(configuration.files)
            if configuration.files:
                module.warn(
                    f"{kind.program} is not installed yet, so this dry run cannot tell whether it accepts its configuration."
                )
        elif configuration.changed:
            configuration.check()
            if not module.check_mode:
                configuration.replace()
        result["restart"] = configuration.restart
        return result
