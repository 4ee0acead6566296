"""Show text to the user of the playbook as it is: nothing indented or cut."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display


def visible(text: str) -> str:
    """Return a text with its control characters escaped: logs hold what visitors sent, and a terminal would obey it."""
    return "".join(one if one.isprintable() or one in "\n\t" else one.encode("unicode_escape").decode() for one in text)


class ActionModule(ActionBase):
    """See plugins/modules/show.py."""

    _requires_connection = False
    _VALID_ARGS = frozenset(("text",))

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Show the text."""
        super().run(tmp, task_vars)
        Display().display(visible(str(self._task.args["text"])).strip("\n"))
        return {"changed": False}
