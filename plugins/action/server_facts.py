"""Ask a server for the few facts that the roles need, in a tenth of the time that Ansible's own gathering takes."""

from __future__ import annotations

import json
import shlex
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.slipway.flask.plugins.plugin_utils.facts import FILES, facts

# For any Python 3: a server with an old one is told that its system is not supported.
PROGRAM = f"""
import json, os
print(json.dumps({{path: open(path).read() if os.path.exists(path) else "" for path in {FILES}}}))
"""


class ActionModule(ActionBase):
    """See plugins/modules/server_facts.py."""

    _requires_connection = True
    _VALID_ARGS = frozenset(("python",))

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the facts; like the end of Ansible's own gathering, so that no later play of the run gathers any."""
        super().run(tmp, task_vars)
        done = self._low_level_execute_command(f"{self._task.args['python']} -c {shlex.quote(PROGRAM)}")
        if done["rc"] != 0:
            # With a terminal, which ssh has here, what the server says of an error is in stdout.
            return {"failed": True, "rc": done["rc"], "msg": f"{done['stdout']}{done['stderr']}".strip()}
        known = facts(json.loads(done["stdout_lines"][-1]))
        gathered = {f"ansible_{name}": value for name, value in known.items()}
        return {"changed": False, "ansible_facts": {**gathered, "_ansible_facts_gathered": True}}
