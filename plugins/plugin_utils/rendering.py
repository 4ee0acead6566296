"""Files of the next release, rendered on the control machine from templates that an environment may override."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template


class RenderingAction(ActionBase):
    """An action that renders templates with the variables of its task."""

    def rendered(
        self, files: Iterable[Mapping[str, Any]], folders: Iterable[str], variables: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """Return files as M(slipway.flask.write_files) takes them: content in the place of src."""
        places = [Path(folder) for folder in folders]
        return [
            {
                **{key: value for key, value in file.items() if key != "src"},
                "content": base64.b64encode(self.render(file["src"], places, variables).encode()).decode(),
            }
            for file in files
        ]

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
