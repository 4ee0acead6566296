#!/usr/bin/python
"""Create several folders; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: create_folders
short_description: Create several folders in one task
description:
  - Each has its owner, group and mode from the beginning. One that is already correct is left alone, with what is in it.
  - A symbolic link counts as the folder that it leads to. So no user but root may be able to change O(dest) and what is between.
extends_documentation_fragment: [slipway.flask.attributes, slipway.flask.attributes.diff]
options:
  dest: {description: "Folder of the folders, which root owns. It has mode 0755 and is made where it is missing.", type: path, required: true}
  group: {description: Their group., type: str, default: root}
  folders:
    description: The folders, each after the one that it is in.
    type: list
    elements: dict
    required: true
    suboptions:
      dest: {description: "Path below O(dest).", type: str, required: true}
      owner: {description: Their owner., type: str, default: root}
      mode: {description: Mode in octal digits., type: str, default: "0755"}
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
author: Slipway (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Create the folders of an application
  slipway.flask.create_folders:
    dest: /srv/guestbook
    group: guestbook
    folders:
      - {dest: releases}
      - {dest: shared, owner: guestbook, mode: "0750"}
"""

RETURN = r"""
folders:
  description: The folders that were, or in a dry run would be, created or changed.
  type: list
  elements: str
  returned: success
"""

import grp
import os
import pwd
import stat
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

# A user or group that a dry run would have made: nothing on the server has it.
NOBODY = -1


def about(path: Path) -> dict[str, Any]:
    """Return owner, group (ids) and mode (octal digits) of a folder; nothing where there is none. Raises NotADirectoryError."""
    try:
        known = path.stat()
    except FileNotFoundError:
        return {}
    if not stat.S_ISDIR(known.st_mode):
        raise NotADirectoryError(f"{path} is not a folder. Move it away.")
    return {"owner": known.st_uid, "group": known.st_gid, "mode": f"{known.st_mode & 0o7777:04o}"}


def create(path: Path, wanted: dict[str, Any]) -> None:
    """Create a folder, or correct its owner, group and mode."""
    path.mkdir(mode=0o700, exist_ok=True)
    os.chown(path, wanted["owner"], wanted["group"])
    path.chmod(int(wanted["mode"], 8))


def uid(name: str) -> int:
    """Return a user's id."""
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return NOBODY


def gid(name: str) -> int:
    """Return a group's id."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return NOBODY


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "dest": {"type": "path", "required": True},
            "group": {"type": "str", "default": "root"},
            "folders": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "dest": {"type": "str", "required": True},
                    "owner": {"type": "str", "default": "root"},
                    "mode": {"type": "str", "default": "0755"},
                },
            },
        },
        supports_check_mode=True,
    )
    top, changed, diff = Path(module.params["dest"]), [], []
    for folder in [{"dest": ".", "owner": "root", "mode": "0755"}, *module.params["folders"]]:
        path = top / folder["dest"]
        wanted = {"owner": uid(folder["owner"]), "group": gid(module.params["group"]), "mode": folder["mode"]}
        try:
            known = about(path)
            if known == wanted:
                continue
            changed.append(str(path))
            diff.append({"before_header": str(path), "after_header": str(path), "before": known, "after": wanted})
            if module.check_mode:
                continue
            if NOBODY in (wanted["owner"], wanted["group"]):
                module.fail_json(
                    msg=f"{path}: the user {folder['owner']} or the group {module.params['group']} does not exist."
                )
            create(path, wanted)
        except OSError as error:
            module.fail_json(msg=str(error))
    module.exit_json(changed=changed != [], folders=changed, diff=diff)


if __name__ == "__main__":
    main()
