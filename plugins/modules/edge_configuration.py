#!/usr/bin/python
"""Replace a web server's files, all or none, if the server accepts the outcome; see DOCUMENTATION."""

from __future__ import annotations

DOCUMENTATION = r"""
module: edge_configuration
short_description: Replace files of a web server's configuration, all or none, if the server accepts the outcome
description:
  - Builds what the configuration would become in a temporary folder, has the server judge it as a whole, and only then puts
    the new files in place, each with a rename.
  - What the server refuses changes nothing, and fails with the server's own words. So does a configuration that it accepts although it
    cannot work, namely a server name that another site of the host has already, an address that another program listens on,
    and with Apache a port that one site has alone and another with an address.
  - It does not reload the server. The file O(reload_due) exists from the moment before files are replaced; the task that reloads
    removes it. While it exists the module reports a change, so that a missed reload is made up for. Where
    RV(restart) is true, a restart is due instead.
  - Files belong to root and have mode 0644, so they must not contain secrets; those of O(secrets) have the group www-data and
    mode 0640, and are in no diff.
extends_documentation_fragment: [slipway.flask.attributes, slipway.flask.attributes.diff]
options:
  server: {description: The server., type: str, choices: [nginx, apache], required: true}
  root: {description: The folder of its configuration., type: path, required: true}
  files:
    description: Files to have. Folders they need are made.
    type: list
    elements: dict
    default: []
    suboptions: &file
      path: {description: The file's path below O(root)., type: str, required: true}
      content: {description: The text of the file., type: str, required: true}
  secrets:
    description: Files to have that only root and the server may read.
    type: list
    elements: dict
    default: []
    suboptions: *file
  secrets_prefix:
    description: What the paths of such files begin with. One that O(secrets) does not name any more is removed. Empty keeps all.
    type: str
    default: ""
  modules:
    description: Modules of Apache to have enabled, as a2enmod(8) does it.
    type: list
    elements: str
    default: []
  unlinked:
    description: Paths below O(root) that must not be symbolic links; a link is removed, a file left alone.
    type: list
    elements: str
    default: []
  absent:
    description:
      - Globs below O(root) of what must not exist unless O(files) names it, such as the files of a site that is removed. A folder
        further down that is left empty goes with them.
    type: list
    elements: str
    default: []
  unknown_hosts:
    description:
      - What the paths of files begin with that answer unknown hosts, before the address each is for. One whose address no
        other file of its folder listens on is removed.
    type: str
    required: true
  listen:
    description: Ports and addresses the files listen on, as the server writes them.
    type: list
    elements: str
    default: []
  replaces:
    description: Servers that give up their addresses before this one is started or reloaded.
    type: list
    elements: dict
    default: []
    suboptions:
      role: {description: The name it has in RV(predecessors)., type: str, required: true}
      program: {description: The program's name as ps(1) shows it., type: str, required: true}
      sites:
        description:
          - Folders of its sites, first the one where a site of this name is given up. An address that any other site there
            listens on is not.
        type: list
        elements: path
        required: true
      reload_due: {description: The file that says it has not given up what it should., type: path, required: true}
  reload_due:
    description: Path of the file that says the server has not read its files yet.
    type: path
    required: true
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
notes:
  - In check mode the outcome is judged too, except on a host without the server, where the module only warns.
author: Slipway (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Configure the site
  slipway.flask.edge_configuration:
    server: nginx
    root: /etc/nginx
    files:
      - path: sites-enabled/guestbook
        content: "{{ lookup('ansible.builtin.template', 'site.conf.j2') }}"
    unlinked: [sites-enabled/default]
    unknown_hosts: sites-enabled/default-
    listen: ["80", "[::]:80"]
    reload_due: /run/nginx-reload-due
  notify: Reload nginx
"""

RETURN = r"""
installed: {description: Whether the server is on this host., type: bool, returned: success}
written:
  description: Paths that were, or in check mode would be, replaced.
  type: list
  elements: str
  returned: success
sites: {description: Names of the sites that the server then has., type: list, elements: str, returned: success}
restart: {description: Whether the server has to be restarted rather than reloaded., type: bool, returned: success}
predecessors: {description: "Those of O(replaces) that still have the site.", type: list, elements: str, returned: success}
removed:
  description: Files and links that were, or in check mode would be, removed.
  type: list
  elements: str
  returned: success
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.flask.plugins.module_utils.edge.apache import Apache
from ansible_collections.slipway.flask.plugins.module_utils.edge.files import EdgeFiles, RefusedError
from ansible_collections.slipway.flask.plugins.module_utils.edge.nginx import Nginx
from ansible_collections.slipway.flask.plugins.module_utils.edge.replacing import run

SERVERS: dict[str, type[EdgeFiles]] = {"nginx": Nginx, "apache": Apache}
FILE = {"path": {"type": "str", "required": True}, "content": {"type": "str", "required": True}}
SECRET = {**FILE, "content": {"type": "str", "required": True, "no_log": True}}
PREDECESSOR = {
    "role": {"type": "str", "required": True},
    "program": {"type": "str", "required": True},
    "sites": {"type": "list", "elements": "path", "required": True},
    "reload_due": {"type": "path", "required": True},
}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "server": {"type": "str", "choices": ["nginx", "apache"], "required": True},
    "root": {"type": "path", "required": True},
    "modules": {"type": "list", "elements": "str", "default": []},
    "unknown_hosts": {"type": "str", "required": True},
    "files": {"type": "list", "elements": "dict", "default": [], "options": FILE},
    "secrets": {"type": "list", "elements": "dict", "default": [], "options": SECRET, "no_log": False},
    "secrets_prefix": {"type": "str", "default": "", "no_log": False},
    "unlinked": {"type": "list", "elements": "str", "default": []},
    "absent": {"type": "list", "elements": "str", "default": []},
    "listen": {"type": "list", "elements": "str", "default": []},
    "replaces": {"type": "list", "elements": "dict", "default": [], "options": PREDECESSOR},
    "reload_due": {"type": "path", "required": True},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    try:
        result = run(module, SERVERS[module.params["server"]])
    except (RefusedError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
