"""Write several files, all of them or none."""

from __future__ import annotations

import base64
import grp
import os
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

# Replaces the arguments, which AnsibleModule would return with secrets in them, also where it fails.
NOT_SHOWN: dict[str, str] = {}
# Arguments of a module; plugins/doc_fragments/files.py says what they mean.
FILES: dict[str, Any] = {
    "group": {"type": "str", "default": "root"},
    "files": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "dest": {"type": "str", "required": True},
            "content": {"type": "str", "required": True},
            "mode": {"type": "str", "default": "0640"},
            "validate": {"type": "str"},
            "secret": {"type": "bool", "default": False},
        },
    },
}


def current(path: Path) -> tuple[bytes, tuple[int, int, int]]:
    """Return a file's content, and its owner, group and mode; an empty content where there is none."""
    try:
        about = path.stat()
        return path.read_bytes(), (about.st_uid, about.st_gid, about.st_mode & 0o7777)
    except FileNotFoundError:
        return b"", (-1, -1, -1)


def shown(before: bytes, file: dict[str, Any]) -> tuple[str, str]:
    """Return what a diff shows of a file, before and after."""
    if file["secret"]:
        return "", "secret\n"
    try:
        return before.decode(), file["bytes"].decode()
    except UnicodeDecodeError:
        return "", "binary\n"


def validate(module: AnsibleModule, file: dict[str, Any]) -> None:
    """Fail the module where a file's command does not accept its new content."""
    with tempfile.NamedTemporaryFile(dir=module.tmpdir) as fresh:
        fresh.write(file["bytes"])
        fresh.flush()
        status, _, error = module.run_command([word.replace("%s", fresh.name) for word in file["validate"].split()])
    if status != 0:
        module.fail_json(msg=f"{file['dest']} was not written: {error.strip()}", invocation=NOT_SHOWN)


def write(path: Path, file: dict[str, Any], gid: int) -> None:
    """Write a file in one step, with its owner and mode from the beginning."""
    umask = os.umask(0o022)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.umask(umask)
    fresh = path.with_name(f".{path.name}.next")
    fresh.write_bytes(file["bytes"])
    os.chown(fresh, 0, gid)
    fresh.chmod(int(file["mode"], 8))
    fresh.rename(path)


def write_all(module: AnsibleModule, folder: Path) -> dict[str, Any]:
    """Write a module's files below a folder, and return what it is to return; fail it where one is not valid."""
    os.umask(0o077)
    try:
        gid = grp.getgrnam(module.params["group"]).gr_gid
    except KeyError:
        gid = -1  # a dry run, before the role that makes it; else the group was there before this
    changed, diff = [], []
    for file in module.params["files"]:
        path = folder / file["dest"].lstrip("/")
        file["bytes"] = base64.b64decode(file["content"])
        wanted, known = (file["bytes"], (0, gid, int(file["mode"], 8))), current(path)
        if known == wanted:
            continue
        changed.append((path, file))
        before, after = shown(known[0], file)
        diff.append({"before_header": str(path), "after_header": str(path), "before": before, "after": after})
        if file["validate"] and known[0] != wanted[0]:
            validate(module, file)
    if not module.check_mode:
        for path, file in changed:
            write(path, file, gid)
    names = [file["dest"] for _, file in changed]
    return {"changed": changed != [], "files": names, "diff": diff, "invocation": NOT_SHOWN}
