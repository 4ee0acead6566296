#!/usr/bin/python
"""Write several files, all of them or none; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: write_files
short_description: Write several files in one task, all of them or none
description:
  - A file that is already correct is left alone. Nothing is written if one of the files does not pass its validation.
  - It returns neither its arguments nor the content of a file that is secret.
extends_documentation_fragment: [slipway.flask.attributes, slipway.flask.attributes.diff, slipway.flask.files]
options:
  dest: {description: Folder of the files. Folders that are missing are made., type: path, required: true}
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
author: Slipway (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Write two programs of the next release
  slipway.flask.write_files:
    dest: /srv/guestbook/next
    group: guestbook
    files:
      - {dest: bin/serve, mode: "0750", content: "{{ serve | b64encode }}", validate: sh -n %s}
      - {dest: env, content: "{{ env | b64encode }}", secret: true}
"""

RETURN = r"""
files:
  description: The files that were, or in a dry run would be, written.
  type: list
  elements: str
  returned: success
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.flask.plugins.module_utils.writing import FILES, write_all


def main() -> None:
    """Run the module."""
    module = AnsibleModule({"dest": {"type": "path", "required": True}, **FILES}, supports_check_mode=True)
    module.exit_json(**write_all(module, Path(module.params["dest"])))


if __name__ == "__main__":
    main()
