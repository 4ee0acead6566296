#!/usr/bin/python
"""Documentation of the action plugin of the same name, which has M(slipway.flask.write_files) write what it rendered."""

DOCUMENTATION = r"""
module: release_files
short_description: Write what a role adds to the next release
description:
  - Renders templates on the control machine and writes all of them in one task, as M(slipway.flask.write_files) does.
  - Where the variable C(release_files_collect) is true, nothing is written yet. M(slipway.flask.release_stage) then writes the files of
    all roles with its own, in one round trip.
extends_documentation_fragment: [slipway.flask.attributes, slipway.flask.attributes.diff]
options:
  dest: {description: "Folder of what the next release is made of; it and C(bin/) in it exist.", type: path, required: true}
  group: {description: May read the files; their owner is root., type: str, default: root}
  templates: {description: Folders with templates; the first that has one wins., type: list, elements: path, required: true}
  files:
    description: The files.
    type: list
    elements: dict
    required: true
    suboptions:
      src: {description: Name of the template., type: str, required: true}
      dest: {description: Path below O(dest)., type: str, required: true}
      mode: {description: Mode in octal digits., type: str, default: "0640"}
      validate: {description: "A command that ends with 0 where C(%s), the new file, is in order.", type: str}
      secret: {description: Whether its content is never shown., type: bool, default: false}
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
author: Slipway (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Add the app server to the release
  slipway.flask.release_files:
    dest: /srv/guestbook/next
    group: guestbook
    templates: ["{{ role_path }}/templates"]
    files:
      - {src: serve.j2, dest: bin/serve, mode: "0750"}
"""

RETURN = r"""
files:
  description: The files that were, or in a dry run would be, written.
  type: list
  elements: str
  returned: success
"""
