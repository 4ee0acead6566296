#!/usr/bin/python
"""Replace nginx's files, all or none, if nginx accepts the outcome; see DOCUMENTATION."""

from __future__ import annotations

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
extends_documentation_fragment: [slipway.flask.attributes, slipway.flask.attributes.diff, slipway.flask.edge]
options:
  root: {description: The folder of nginx.conf., type: path, default: /etc/nginx}
  unknown_hosts:
    description:
      - What the paths of files begin with that close unknown hosts, before the address each is for.
        One whose address no other file of its folder listens on is removed.
    type: str
    default: sites-enabled/default-
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
notes:
  - In check mode the outcome is judged too, except on a host without nginx, where the module only
    warns.
author: Slipway (!UNKNOWN)
"""

EXAMPLES = r"""
- name: The site is configured
  slipway.flask.nginx_configuration:
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
sites: {description: Names of the sites that nginx then has., type: list, elements: str, returned: success}
restart: {description: "Whether nginx has to be restarted rather than reloaded: never.", type: bool, returned: success}
predecessors: {description: "Those of O(replaces) that still have the site.", type: list, elements: str, returned: success}
removed:
  description: Files and links that were, or in check mode would be, removed.
  type: list
  elements: str
  returned: success
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.flask.plugins.module_utils.edge_files import (
    ARGUMENTS,
    EdgeFiles,
    RefusedError,
    bindable,
    run,
)

LISTEN = re.compile(r"^\s*listen\s+([^\s;]+)", re.MULTILINE)
SAME_NAME = re.compile(r'conflicting server name "[^"]*" on \S+(?=,)')


class Configuration(EdgeFiles):
    """The files of one nginx, and what some of them shall become."""

    program = "nginx"
    role = "nginx"

    def orphans(self) -> Iterator[str]:
        """Yield the files for unknown hosts whose address no site will listen on any more."""
        folder, _, prefix = self.module.params["unknown_hosts"].rpartition("/")
        heard = {word for text in self.texts(folder, prefix).values() for word in LISTEN.findall(text)}
        for file in sorted((self.root / folder).glob("*")):
            if file.is_file() and file.name.startswith(prefix) and file.name.removeprefix(prefix) not in heard:
                yield str(file.relative_to(self.root))

    def sites(self, unknown_hosts: str) -> list[str]:
        """Return the names of nginx's sites; somebody may have put one into conf.d."""
        others = self.texts("conf.d", ".").items()
        return super().sites(unknown_hosts) + [Path(path).stem for path, text in others if LISTEN.search(text)]

    def judge(self, folder: Path) -> tuple[bool, str]:
        """Have nginx test the configuration in a folder; return if it passes, and what it said.

        Relative includes are looked up beside the nginx.conf that is tested (nginx(8), -c).
        """
        command = [self.binary, "-t", "-c", str(folder / "nginx.conf")]
        # The test makes log files that are new: like the package's own, they are not for everybody.
        code, _, said = self.module.run_command(command, umask=0o027)
        return code == 0, said.strip().replace(str(folder), str(self.root))

    def clashes(self, said: str) -> set[str]:
        """Return nginx's warnings of server names that two sites claim."""
        return set(SAME_NAME.findall(said))

    def free(self, address: str) -> bool:
        """Whether nginx could listen on an address now; [::]:80 is IPv6 alone (ngx_http_core_module, listen)."""
        host, _, port = address.rpartition(":")
        return bindable(host.strip("[]"), int(port), both=False)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **ARGUMENTS,
            "root": {"type": "path", "default": "/etc/nginx"},
            "unknown_hosts": {"type": "str", "default": "sites-enabled/default-"},
        },
        supports_check_mode=True,
    )
    try:
        result = run(module, Configuration, module.params["unknown_hosts"])
    except (RefusedError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
