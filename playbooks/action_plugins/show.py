"""Show text to whoever runs the playbook, as it is: nothing escaped, indented or cut."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display


class ActionModule(ActionBase):
    """See library/show.py."""

    _requires_connection = False
    _VALID_ARGS = frozenset(("text",))

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Show the text."""
        super().run(tmp, task_vars)
        Display().display(str(self._task.args["text"]).strip("\n"))
        return {"changed": False}
