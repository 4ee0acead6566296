"""Packs the application's source on the control machine and brings it to the server."""

from __future__ import annotations

import base64
import tempfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.flask.plugins.plugin_utils.files import SourceError
from ansible_collections.slipway.flask.plugins.plugin_utils.packing import pack

# An archive of at most this many bytes travels with the module that writes it, in one round trip; `copy` takes four.
MOST_INLINE_BYTES = 1 << 20


class ActionModule(ActionBase):
    """See plugins/modules/release_source.py."""

    TRANSFERS_FILES = False  # a large archive is transferred by `copy`
    _VALID_ARGS = frozenset(("source", "ref", "path", "exclude", "published", "dest", "group", "mode"))

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Pack the source; with `dest`, bring it there."""
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        source, ref, path, published = (
            str(arguments.pop(key, "") or "") for key in ("source", "ref", "path", "published")
        )
        try:
            packed = pack(source, ref, path, arguments.pop("exclude", None) or [], published)
        except SourceError as error:
            raise AnsibleActionFail(str(error)) from None
        version = " ".join(filter(None, [ref, packed.commit])) or source
        said = {"size": len(packed.archive), "version": version, "notes": packed.notes, "folder": packed.folder}
        if "dest" not in arguments:
            return {"changed": False, **said}
        if len(packed.archive) <= MOST_INLINE_BYTES:
            dest = Path(arguments["dest"])
            content = base64.b64encode(packed.archive).decode()
            files = [{"dest": dest.name, "content": content, "mode": arguments["mode"]}]
            wanted = {"dest": str(dest.parent), "group": arguments["group"], "files": files}
            # The module would write its arguments to the server's journal.
            variables = {**(task_vars or {}), "ansible_no_target_syslog": True}
            return {**self._execute_module("slipway.flask.write_files", wanted, task_vars=variables), **said}
        with tempfile.NamedTemporaryFile(suffix=".tar.gz") as archive:
            archive.write(packed.archive)
            archive.flush()
            task = self._task.copy()
            task.args = {**arguments, "owner": "root", "src": archive.name}
            copy = self._shared_loader_obj.action_loader.get(
                "ansible.legacy.copy",
                task=task,
                connection=self._connection,
                play_context=self._play_context,
                loader=self._loader,
                templar=self._templar,
                shared_loader_obj=self._shared_loader_obj,
            )
            return {**copy.run(task_vars=task_vars), **said}
