"""Ask for the lock, and choose the release to go back to, in one go."""

from __future__ import annotations

from typing import Any

from ansible_collections.slipway.flask.plugins.plugin_utils.locking import LockingAction


class ActionModule(LockingAction):
    """See plugins/modules/release_select.py."""

    _VALID_ARGS = frozenset(("home", "id", "force", "break_lock"))

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Take the lock and choose."""
        super().run(tmp, task_vars)
        args = dict(self._task.args)
        force = args.pop("break_lock", False)
        return self.with_lock("slipway.flask.release_select", args, task_vars, verb="rollback", force=force)
