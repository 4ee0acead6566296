"""A web server's files, replaced all or none, if the server accepts the outcome. nginx.py and apache.py have what differs."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from glob import glob
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.flask.plugins.module_utils.edge.ports import holders
from ansible_collections.slipway.flask.plugins.module_utils.edge.secrets import Secrets

RESTART = "restart"


class RefusedError(Exception):
    """The files must not be replaced; the text says why."""


class EdgeFiles:
    """The files of one web server, and the wanted content of some of them."""

    program: str  # its name in ps(1)
    role: str  # the role whose variables the messages name

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.root = Path(module.params["root"])
        self.due = Path(module.params["reload_due"])
        self.binary = module.get_bin_path(self.program, opt_dirs=["/usr/sbin"])
        self.files = {self.below(file["path"]): file["content"].encode() for file in module.params["files"]}
        secrets = {self.below(file["path"]): file["content"].encode() for file in module.params["secrets"]}
        self.secrets, self.files = Secrets(self.root, module.params["secrets_prefix"], secrets), self.files | secrets
        self.links: dict[str, str] = {}
        self.written = [path for path in self.files if not self.stands(path)]
        links = [path for path in map(self.below, module.params["unlinked"]) if (self.root / path).is_symlink()]
        globs = map(self.below, module.params["absent"])
        named = {path for name in globs for path in glob(name, root_dir=self.root)}  # noqa: PTH207 # dangling links too
        absent = sorted(named - set(self.files))
        self.removed = [*links, *absent, *self.secrets.former()]
        self.removed += [path for path in self.orphans() if path not in self.removed]
        # A reload does not make up for a missed restart.
        self.restart = self.due.exists() and RESTART in self.due.read_text()

    # What differs from server to server; what is the same for all follows.

    def orphans(self) -> Iterator[str]:
        """Yield files that are not needed any more once the new ones are in place."""
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
        """Whether a reload is not enough for the new configuration, which is in a folder."""
        del folder
        return False

    def sites(self, unknown_hosts: str) -> list[str]:
        """Return the names of the sites the server will have, but for those of unknown hosts."""
        folder, _, besides = unknown_hosts.rpartition("/")
        return sorted(Path(path).stem for path in self.texts(folder, besides))

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
        rights = (stat.st_uid, stat.st_gid, stat.st_mode & 0o7777) == (0, *self.secrets.rights(path))
        return rights and file.read_bytes() == self.files[path]

    def texts(self, folder: str, besides: str) -> dict[str, str]:
        """Return what the files of a folder will contain, but for those whose name begins in one way."""
        there = (path for path in (self.root / folder).glob("*") if path.is_file())
        found = {str(path.relative_to(self.root)): path.read_text(errors="replace") for path in there}
        found |= {path: text.decode() for path, text in self.files.items() if Path(path).parent == Path(folder)}
        return {
            path: text
            for path, text in found.items()
            if path not in self.removed and not Path(path).name.startswith((besides, "."))
        }

    def outcome(self, folder: Path) -> None:
        """Build the new configuration in an empty folder: links to unchanged files, and new files.

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
        """Return which other program has a port; empty where none does.

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
        """Return which sites keep a port in use by the server that this one replaces; empty where none does."""
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
        """Raise RefusedError where the server refuses the outcome, or accepts one that cannot work."""
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
                f"server that share a port must write it the same way: all of them only the port, or each with an address "
                f"(grep -r '^Listen' {self.root}/sites-enabled)."
            )
        for address in self.module.params["listen"]:
            if others := self.taken(address):
                raise RefusedError(
                    f"{self.role}_listen: {address} is taken by {others}; no file was changed. Stop that program, or give the "
                    "site another port."
                )
        twice = self.clashes(said)
        # A clash that exists already was not caused by this change.
        if twice and (new := twice - self.clashes(self.judge(self.root)[1])):
            raise RefusedError(
                f"edge_server_names: another site of this server has the same name, and {self.role} would ignore one of the two; no file "
                "was changed. Give each site its own names (app_domains in an inventory), or remove the other site: "
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
                else:
                    self.secrets.write(drafts[path], self.files[path], *self.secrets.rights(path))
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
                "before": self.secrets.shown(path, file.read_text(errors="replace") if file.is_file() else ""),
                "after": "" if path in self.removed else self.secrets.shown(path, after, "(new)\n"),
            }
