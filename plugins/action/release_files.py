"""Render what a role adds to the next release, and have it written in one go (plugins/modules/release_files.py)."""

from __future__ import annotations

from typing import Any

from ansible_collections.slipway.flask.plugins.plugin_utils.rendering import RenderingAction

# The variable with which a playbook has the files kept for M(slipway.flask.release_stage), and the fact that they are kept in.
COLLECT, COLLECTED = "release_files_collect", "release_files_collected"


class ActionModule(RenderingAction):
    """Templates in, files out: each task that sends one file costs two round trips, this one costs one for all."""

    TRANSFERS_FILES = False
    _VALID_ARGS = frozenset(("dest", "group", "templates", "files"))

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Render the files and hand them to the module, or keep them."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        args = dict(self._task.args)
        args["files"] = self.rendered(args["files"], args.pop("templates"), variables)
        if self._templar.template(variables.get(COLLECT, False)):
            kept = variables["ansible_facts"].get(COLLECTED, {}) | {file["dest"]: file for file in args["files"]}
            # Not for the terminal: whole files, which may be secret.
            return {"changed": False, "ansible_facts": {COLLECTED: kept}, "_ansible_no_log": True}
        # The module would write its arguments to the server's journal.
        variables = {**variables, "ansible_no_target_syslog": True}
        result: dict[str, Any] = self._execute_module("slipway.flask.write_files", args, task_vars=variables)
        return result
