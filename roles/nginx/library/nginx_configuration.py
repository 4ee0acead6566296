#!/usr/bin/python
"""Replace nginx's files, all or none, if nginx accepts the outcome; see DOCUMENTATION."""

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

DOCUMENTATION = r"""
module: nginx_configuration
short_description: Replace files of nginx's configuration, all or none, if nginx accepts the outcome
description:
  - Builds what the configuration would become in a temporary folder, has C(nginx -t) judge it as a
    whole, and only then puts the new files in place, each with a rename.
  - What nginx refuses changes nothing, and fails with nginx's own words. So do two things that
    nginx lets pass, a server name that another site of the host has already and an address that
    another program listens on.
  - It does not reload nginx. The file O(reload_due) exists from the moment before files are
    replaced; whoever reloads removes it. While it exists the module reports a change, so that a
    reload which was missed is made good.
  - Files belong to root and have mode 0644, so they are no place for secrets.
options:
  root: {description: The folder of nginx.conf., type: path, default: /etc/nginx}
  files:
    description: Files to have. Folders they need are made.
    type: list
    elements: dict
    default: []
    options:
      path: {description: The file's path below O(root)., type: str, required: true}
      content: {description: The text of the file., type: str, required: true}
  unlinked:
    description:
      - Paths below O(root) that shall not be symbolic links; a link is removed, a file left alone.
    type: list
    elements: str
    default: []
  absent:
    description:
      - Paths below O(root) that shall not exist, such as those of a site that is taken away. A folder
        further down that is left empty goes with them.
    type: list
    elements: str
    default: []
  unknown_hosts:
    description:
      - What the paths of files begin with that close unknown hosts, before the address each is for.
        One whose address no other file of its folder listens on is removed.
    type: str
    default: sites-enabled/default-
  listen:
    description: Ports and addresses the files listen on, as nginx writes them.
    type: list
    elements: str
    default: []
  reload_due:
    description: Path of the file that says nginx has not read its files yet.
    type: path
    required: true
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
notes:
  - In check mode the outcome is judged too, except on a host without nginx, where the module only
    warns.
author: Slipway
"""

EXAMPLES = r"""
- name: The site is configured
  nginx_configuration:
    files:
      - path: sites-enabled/guestbook
        content: "{{ lookup('ansible.builtin.template', 'site.conf.j2') }}"
    unlinked: [sites-enabled/default]
    listen: ["80", "[::]:80"]
    reload_due: /run/nginx-reload-due
  notify: Nginx is reloaded
"""

RETURN = r"""
installed: {description: Whether nginx is on this host., type: bool, returned: success}
written:
  description: Paths that were, or in check mode would be, replaced.
  type: list
  elements: str
  returned: success
removed:
  description: Files and links that were, or in check mode would be, removed.
  type: list
  elements: str
  returned: success
"""

MODE = 0o644
LISTEN = re.compile(rb"^\s*listen\s+([^\s;]+)", re.MULTILINE)
SAME_NAME = re.compile(r'conflicting server name "[^"]*" on \S+,')


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


def taken(address: str) -> str:
    """Tell which other program listens on a port, or an address with a port; empty where none does.

    nginx -t does not look, and a reload that cannot listen leaves the old configuration running
    without a word.
    """
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        # As nginx opens its own (ngx_http_core_module, listen).
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            trial.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            trial.bind((host.strip("[]"), int(port)))
        except OSError as error:
            others = holders(int(port)) if error.errno == errno.EADDRINUSE else []
            return "" if any(name.startswith("nginx ") for name in others) else ", ".join(others)
    return ""


class Configuration:
    """The files of one nginx, and what some of them shall become."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.root = Path(module.params["root"])
        self.due = Path(module.params["reload_due"])
        self.nginx = module.get_bin_path("nginx", opt_dirs=["/usr/sbin"])
        self.files = {self.below(file["path"]): file["content"].encode() for file in module.params["files"]}
        self.written = [path for path in self.files if not self.stands(path)]
        links = [path for path in map(self.below, module.params["unlinked"]) if self.linked(path)]
        self.absent = [path for path in map(self.below, module.params["absent"]) if os.path.lexists(self.root / path)]
        self.removed = [*links, *self.absent, *self.orphans()]

    def linked(self, path: str) -> bool:
        """Whether a path is a symbolic link."""
        return (self.root / path).is_symlink()

    def orphans(self) -> Iterator[str]:
        """Yield the files for unknown hosts whose address no site will listen on any more."""
        prefix = Path(self.module.params["unknown_hosts"])
        found = (self.root / prefix.parent).glob("*")
        beside = {path.relative_to(self.root) for path in found if path.is_file()}
        sites = {str(path) for path in beside if not path.name.startswith(prefix.name)}
        texts = [(self.root / path).read_bytes() for path in sites - self.files.keys() - set(self.absent)]
        texts += [text for path, text in self.files.items() if not path.startswith(str(prefix))]
        heard = {word.decode() for text in texts for word in LISTEN.findall(text)}
        for path in sorted(str(path) for path in beside if path.name.startswith(prefix.name)):
            if path.removeprefix(str(prefix)) not in heard:
                yield path

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
        return (stat.st_uid, stat.st_gid, stat.st_mode & 0o7777) == (
            0,
            0,
            MODE,
        ) and file.read_bytes() == self.files[path]

    def judge(self, folder: Path) -> tuple[bool, str]:
        """Have nginx test the configuration in a folder; return if it passes, and what it said."""
        command = [self.nginx, "-t", "-c", str(folder / "nginx.conf")]
        # The test makes log files that are new: like the package's own, they are not for everybody.
        code, _, said = self.module.run_command(command, umask=0o027)
        return code == 0, said.strip().replace(str(folder), str(self.root))

    def outcome(self, folder: Path) -> None:
        """Build in an empty folder what the root would become: links to what stays, and new files.

        Relative includes are looked up beside the nginx.conf that is tested (nginx(8), -c), so the
        new files find each other.
        """
        for parent, folders, names in os.walk(self.root):
            inside = folder / Path(parent).relative_to(self.root)
            inside.mkdir(exist_ok=True)
            links = [name for name in folders if (Path(parent) / name).is_symlink()]
            for name in names + links:
                (inside / name).symlink_to(Path(parent) / name)
        for path in self.removed:
            (folder / path).unlink()
        for path in self.written:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).unlink(missing_ok=True)
            (folder / path).write_bytes(self.files[path])

    def check(self) -> None:
        """Raise RefusedError where nginx refuses the outcome, or lets pass what cannot work."""
        with tempfile.TemporaryDirectory(prefix="nginx-") as name:
            self.outcome(Path(name))
            passes, said = self.judge(Path(name))
        if not passes:
            raise RefusedError(
                f"nginx refuses this configuration, so no file was changed and nginx runs as before.\n{said}"
            )
        for address in self.module.params["listen"]:
            if others := taken(address):
                raise RefusedError(
                    f"nginx_listen: {address} is taken by {others}; no file was changed. Stop that program, or give the site "
                    "another port."
                )
        twice = set(SAME_NAME.findall(said))
        # A clash that is there already is not this change's doing.
        if twice and (new := twice - set(SAME_NAME.findall(self.judge(self.root)[1]))):
            raise RefusedError(
                "Another site of this server has the same server name, and nginx would ignore one of the two; no file was "
                "changed. Give each site its own names (nginx_server_names), or take the other one away: "
                f"grep -r server_name {self.root}/sites-enabled {self.root}/conf.d\n"
                + "\n".join(sorted(new)).rstrip(",")
            )

    def replace(self) -> None:
        """Put the new files in place.

        All are written before the first is renamed, so a full disk changes nothing.
        """
        self.due.touch()
        drafts: dict[str, Path] = {}
        try:
            for path in self.written:
                # nginx's includes do not match a name with a leading dot (glob(7)).
                drafts[path] = (self.root / path).with_name(f".{Path(path).name}.new")
                drafts[path].parent.mkdir(mode=0o755, parents=True, exist_ok=True)
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
        for path in self.written + self.removed:
            file = self.root / path
            yield {
                "before_header": str(file),
                "after_header": str(file),
                "before": file.read_text(errors="replace") if file.is_file() else "",
                "after": self.files[path].decode() if path in self.files else "",
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


def run(module: AnsibleModule) -> dict[str, Any]:
    """Do what the arguments say; return the module's result. Raises RefusedError and OSError."""
    root = Path(module.params["root"])
    with alone(root) if root.is_dir() else contextlib.nullcontext():
        configuration = Configuration(module)
        installed = bool(configuration.nginx) and root.is_dir()
        result = {
            "changed": bool(configuration.written or configuration.removed or configuration.due.exists()),
            "installed": installed,
            "written": configuration.written,
            "removed": configuration.removed,
            "diff": list(configuration.diff()),
        }
        if not installed and configuration.files and not module.check_mode:
            raise RefusedError(
                "nginx_packages: nginx is not installed. Leave the variable out, or install nginx before this role."
            )
        if not installed and configuration.files:
            module.warn("nginx is not installed yet, so this dry run cannot tell whether it accepts its configuration.")
        elif installed and (configuration.written or configuration.removed):
            configuration.check()
            if not module.check_mode:
                configuration.replace()
        return result


def main() -> None:
    """Run the module."""
    file = {"path": {"type": "str", "required": True}, "content": {"type": "str", "required": True}}
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "default": "/etc/nginx"},
            "files": {"type": "list", "elements": "dict", "default": [], "options": file},
            "absent": {"type": "list", "elements": "str", "default": []},
            "unlinked": {"type": "list", "elements": "str", "default": []},
            "unknown_hosts": {"type": "str", "default": "sites-enabled/default-"},
            "listen": {"type": "list", "elements": "str", "default": []},
            "reload_due": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    try:
        result = run(module)
    except (RefusedError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
