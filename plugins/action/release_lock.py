"""Take the lock on an application's releases, and nothing else."""

from __future__ import annotations

from typing import Any

from ansible_collections.slipway.flask.plugins.plugin_utils.locking import LockingAction


class ActionModule(LockingAction):
    """See plugins/modules/release_lock.py."""

    _supports_check_mode = False
    _VALID_ARGS = frozenset(("home", "verb", "force"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Take the lock."""
        super().run(tmp, task_vars)
        args = self._task.args
        how = {"verb": args.get("verb", "deploy"), "force": args.get("force", False)}
        return self.with_lock("slipway.flask.take_lock", {"home": args["home"]}, task_vars, **how)
