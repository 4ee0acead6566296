#!/usr/bin/python
"""Documentation of the action plugin of the same name, which does the work on the control machine."""

DOCUMENTATION = r"""
module: release_source
short_description: Bring an application's source to the server as one archive
description:
  - Packs a folder of the control machine or a commit of a git repository into a deterministic archive, and copies it to the
    server where it differs from what is there.
  - Of a folder stays behind what C(.gitignore) names, and, unless git tracks it, what no release needs (C(.env), virtualenvs,
    node_modules, caches, databases of SQLite and of C(make dev)).
  - git runs on the control machine, with the rights of the user who deploys, so the server needs no deploy key.
extends_documentation_fragment: [slipway.flask.attributes]
options:
  source:
    description: A folder on the control machine (absolute, or relative to where the command runs), or a git URL.
    type: str
    required: true
  ref:
    description: Branch, tag or commit. Empty is the default branch of a git URL, or a folder as it is.
    type: str
  path:
    description:
      - The application's folder below the source. It alone is packed, unless what it says of its dependencies names something
        outside of it, such as a sibling (C(../lib)) or a workspace of uv. Then all of the source is.
    type: str
  exclude:
    description:
      - Patterns in the notation of C(.gitignore), relative to the folder that is packed, of what stays behind as well, also of what
        git tracks. One that begins with an exclamation mark takes along what would stay behind by itself.
    type: list
    elements: str
  published:
    description:
      - A folder of static files below the application's. Where a bundler's output in it, or in a folder such as C(dist), stays
        behind because C(.gitignore) names it, RV(notes) say so. Empty where the server makes it.
    type: str
  dest:
    description: The archive's path on the server. Without it the source is only checked.
    type: str
  group:
    description: Group that may read the archive, which is root's. Needed with O(dest).
    type: str
  mode:
    description: The archive's mode in octal digits. Needed with O(dest).
    type: str
attributes:
  check_mode:
    support: full
author: Slipway (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Upload the application's source
  slipway.flask.release_source:
    source: ./app
    dest: /srv/guestbook/next/source.tar.gz
    group: guestbook
    mode: "0640"
"""

RETURN = r"""
size:
  description: Bytes of the archive.
  type: int
  returned: always
folder:
  description: The application's folder in the archive, where all of the source was packed; empty otherwise.
  type: str
  returned: always
notes:
  description: Sentences about what was left out, and about what is large.
  type: list
  elements: str
  returned: always
version:
  description: The ref asked for and the commit it is, where there is one; else the source as it was named.
  type: str
  returned: always
"""
