"""Pack the application's source on the control machine, to see that it is there."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.flask.plugins.plugin_utils.files import SourceError
from ansible_collections.slipway.flask.plugins.plugin_utils.packing import pack


class ActionModule(ActionBase):
    """See plugins/modules/release_source.py."""

    _requires_connection = False
    _VALID_ARGS = frozenset(("source", "ref", "path", "exclude"))

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Pack the source."""
        super().run(tmp, task_vars)
        source, ref, path = (str(self._task.args.get(key) or "") for key in ("source", "ref", "path"))
        try:
            pack(source, ref, path, self._task.args.get("exclude") or [])
        except SourceError as error:
            raise AnsibleActionFail(str(error)) from None
        return {"changed": False}
