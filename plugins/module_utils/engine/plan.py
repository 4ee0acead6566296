"""What a release is to be made of, and the id that is derived from it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pwd
import shutil
from pathlib import Path
from typing import Any

from ansible_collections.slipway.flask.plugins.module_utils.engine import secrets
from ansible_collections.slipway.flask.plugins.module_utils.engine.errors import ReleaseError

# Part of every id: raised when the engine makes something else of the same input.
FORMAT = 8
# The files of `next` that affect the virtualenv.
REQUIREMENTS = ("requirements.txt", "hashes.txt", "default_requirements.txt", "app_requirements.txt", "node.txt")
# The fields of a plan that are part of the id, in addition to the files of `next` and the interpreter.
FACTS = (
    "module",
    "server",
    "prestart",
    "migrate",
    "static_dir",
    "static_url",
    "static_kinds",
    "static_forbidden_suffixes",
    "shared_dirs",
    "build",
    "uv",
    "folder",
)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a release is to be made of; the module release_build says what each field means.

    python: the interpreter, or a version for uv to find. sandbox, build_service: directives of systemd. folder: the
    application's in the archive, where that has more than it needs to serve; empty otherwise.
    """

    home: str
    user: str
    module: str
    server: str
    uv: str
    python: str
    static_dir: str
    static_url: str
    static_kinds: list[str]
    static_forbidden_suffixes: list[str]
    sandbox: dict[str, Any]
    build_service: dict[str, Any]
    shared_dirs: list[str]
    build: list[str]
    prestart: list[str]
    migrate: bool
    source: str
    folder: str = ""

    @property
    def stage(self) -> Path:
        """The folder in which the roles put their parts of the next release."""
        return Path(self.home) / "next"

    @property
    def id(self) -> str:
        """The id of what that would become: 12 hexadecimal digits of a SHA-256 over all that it is made of."""
        digest = hashlib.sha256()
        staged = (path for path in self.stage.rglob("*") if path.is_file() and path.name not in secrets.NAMES)
        files = sorted(path for path in staged if not foreign(path, self.server))
        for path in files:
            content = path.read_bytes()
            digest.update(f"{path}\0{len(content)}\0".encode() + content)
        facts = {name: getattr(self, name) for name in FACTS}
        digest.update(json.dumps([FORMAT, facts, self.python], sort_keys=True).encode())
        return digest.hexdigest()[:12]

    @property
    def has_application(self) -> bool:
        """Whether something is to run; a site without an application is its files alone."""
        return self.server != "none"

    @property
    def builder(self) -> str:
        """The user that builds the application's releases. Raises ReleaseError where there is none."""
        name = f"{self.user}-build"
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            raise ReleaseError(
                f"app_name: the server has no user {name}, which builds the releases. Run site.yml, which creates it."
            ) from None


def foreign(path: Path, server: str) -> bool:
    """Whether a file of `next` was left in bin/ by another app server than the chosen one."""
    owner, dot, _ = path.name.partition(".")
    return path.parent.name == "bin" and bool(dot) and owner not in (server, "slipway_wsgi")


def interpreter(python: str) -> str:
    """Return the interpreter behind a name, so that a new minor version is a new release; a version stays as it is."""
    found = shutil.which(python)
    return os.path.realpath(found) if found else python
