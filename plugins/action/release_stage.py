"""Pack the application's source, render its files, and bring all that the next release is made of to the server in one go."""

from __future__ import annotations

import base64
import tempfile
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible_collections.slipway.flask.plugins.action.release_files import COLLECTED
from ansible_collections.slipway.flask.plugins.plugin_utils.files import SourceError
from ansible_collections.slipway.flask.plugins.plugin_utils.locking import LockingAction
from ansible_collections.slipway.flask.plugins.plugin_utils.packing import pack
from ansible_collections.slipway.flask.plugins.plugin_utils.rendering import RenderingAction

ARCHIVE = {"dest": "source.tar.gz", "mode": "0640"}
# An archive of at most this many bytes travels with the module that writes it, in one round trip; `copy` takes four.
MOST_INLINE_BYTES = 1 << 20


class ActionModule(LockingAction, RenderingAction):
    """See plugins/modules/release_stage.py."""

    TRANSFERS_FILES = False  # a large archive is transferred by `copy`

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Take the lock and bring everything there."""
        super().run(tmp, task_vars)
        # The module would write its arguments to the server's journal.
        variables = {**(task_vars or {}), "ansible_no_target_syslog": True}
        args = dict(self._task.args)
        source, ref, path, published = (str(args.pop(key, "") or "") for key in ("source", "ref", "path", "published"))
        lock = {"source": ref or source, "force": args.pop("break_lock", False)}
        try:
            packed = pack(source, ref, path, args.pop("exclude", None) or [], published)
        except SourceError as error:
            raise AnsibleActionFail(str(error)) from None
        version = " ".join(filter(None, [ref, packed.commit])) or source
        said: dict[str, Any] = {"version": version, "notes": packed.notes, "folder": packed.folder}
        args["plan"] = {**args["plan"], "source": version, "folder": packed.folder}
        args["files"] = [
            *self.rendered(args["files"], args.pop("templates"), variables),
            *variables["ansible_facts"].get(COLLECTED, {}).values(),
        ]
        copied: dict[str, Any] = {}
        if len(packed.archive) <= MOST_INLINE_BYTES:
            args["files"].append({**ARCHIVE, "content": base64.b64encode(packed.archive).decode()})
        else:
            copied = self.with_lock("slipway.flask.take_lock", {"home": args["home"]}, variables, **lock)
            if not copied.get("failed"):
                copied |= self.copied(packed.archive, args, variables)
            if copied.get("failed"):
                return {**copied, **said}
            if self._task.check_mode and copied["changed"]:
                said["settled"] = False  # the archive that is staged is still that of the release before
        result = self.with_lock("slipway.flask.release_stage", args, variables, **lock)
        changed = result.get("changed", False) or copied.get("changed", False)
        # Another deploy of the same run would find them.
        return {**result, **said, "changed": changed, "ansible_facts": {COLLECTED: {}}}

    def copied(self, content: bytes, args: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        """Copy the archive to the server; return what `copy` does, also where it says that with an exception."""
        with tempfile.NamedTemporaryFile(suffix=".tar.gz") as archive:
            archive.write(content)
            archive.flush()
            task = self._task.copy()
            dest = f"{args['home']}/next/{ARCHIVE['dest']}"
            task.args = {
                "src": archive.name,
                "dest": dest,
                "owner": "root",
                "group": args["group"],
                "mode": ARCHIVE["mode"],
            }
            copy = self._shared_loader_obj.action_loader.get(
                "ansible.legacy.copy",
                task=task,
                connection=self._connection,
                play_context=self._play_context,
                loader=self._loader,
                templar=self._templar,
                shared_loader_obj=self._shared_loader_obj,
            )
            try:
                return dict(copy.run(task_vars=variables))
            except AnsibleConnectionFailure:
                raise
            except AnsibleError as error:  # a full disk, say: the lock that was taken is to be given back
                return {"failed": True, "msg": str(error)}
