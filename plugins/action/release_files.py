"""Render what a role adds to the next release, and have it written in one go (plugins/modules/release_files.py)."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template


class ActionModule(ActionBase):
    """Templates in, files out: each task that sends one file costs two round trips, this one costs one for all."""

    TRANSFERS_FILES = False
    _VALID_ARGS = frozenset(("dest", "group", "templates", "files"))

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Render the files and hand them to the module."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        args = dict(self._task.args)
        folders = [Path(folder) for folder in args.pop("templates")]
        args["files"] = [dict(file) for file in args["files"]]
        for file in args["files"]:
            text = self.render(file.pop("src"), folders, variables)
            file["content"] = base64.b64encode(text.encode()).decode()
        # The module would write its arguments to the server's journal.
        variables = {**variables, "ansible_no_target_syslog": True}
        result: dict[str, Any] = self._execute_module("slipway.flask.write_files", args, task_vars=variables)
        return result

    def render(self, name: str, folders: list[Path], variables: dict[str, Any]) -> str:
        """Return a rendered template; the first folder that has it wins, also for what it includes and extends."""
        source = next((folder / name for folder in folders if (folder / name).is_file()), None)
        if source is None:
            raise AnsibleActionFail(f"The template {name} was not found in {', '.join(map(str, folders))}.")
        path = [str(folder) for folder in folders]
        for place in variables.get("ansible_search_path", []):
            path += [f"{place}/templates", place]  # {% extends 'templates/name' %} is the role's own
        templar = self._templar.copy_with_new_env(searchpath=path, available_variables=variables)
        text = trust_as_template(self._loader.get_text_file_contents(str(source)))
        rendered = templar.template(text, escape_backslashes=False, overrides={"trim_blocks": True})
        return "" if rendered is None else str(rendered)  # nothing is None to Ansible
