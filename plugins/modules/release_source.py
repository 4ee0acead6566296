#!/usr/bin/python
"""Documentation of the action plugin of the same name, which does the work on the control machine."""

DOCUMENTATION = r"""
module: release_source
short_description: See whether an application's source can be packed
description:
  - Packs a folder of the control machine or a commit of a git repository into a deterministic archive, as M(slipway.flask.release_stage)
    does, and fails where it cannot. Nothing is brought to the server.
  - Of a folder stays behind what C(.gitignore) names, and, unless git tracks it, what no release needs (C(.env), virtualenvs,
    node_modules, caches, databases of SQLite and of C(make dev)).
  - git runs on the control machine, with the rights of the user who deploys, so the server needs no deploy key.
extends_documentation_fragment: [slipway.flask.attributes, slipway.flask.release.source]
attributes:
  check_mode:
    support: full
author: Slipway (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Check that the application's source exists
  slipway.flask.release_source:
    source: ./app
"""

RETURN = r""" # """
