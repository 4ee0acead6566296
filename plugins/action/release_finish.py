"""End a deploy, where its lock is still there: a step that went on to the end has given it back."""

from __future__ import annotations

import shlex
from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """See plugins/modules/release_finish.py."""

    _requires_connection = True
    _supports_check_mode = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Look for the lock, which takes a fifth of the module's time; run the module where it is there."""
        super().run(tmp, task_vars)
        lock = shlex.quote(f"{self._task.args['home']}/deploy.lock")
        if self._low_level_execute_command(f"[ ! -e {lock} ]")["rc"] == 0:
            return {"changed": False}
        result: dict[str, Any] = self._execute_module(
            "slipway.flask.release_finish", self._task.args, task_vars=task_vars
        )
        return result
