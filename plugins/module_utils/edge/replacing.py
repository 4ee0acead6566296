"""One run of the module edge_configuration: check the new files, then replace the old ones."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.flask.plugins.module_utils.edge.files import EdgeFiles, RefusedError


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder: of two runs at once the second checks against the result of the first."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def run(module: AnsibleModule, kind: type[EdgeFiles]) -> dict[str, Any]:
    """Do what the arguments say; return the module's result. Raises RefusedError and OSError."""
    root = Path(module.params["root"])
    with alone(root) if root.is_dir() else contextlib.nullcontext():
        configuration = kind(module)
        result = {
            "changed": configuration.changed or configuration.due.exists(),
            "installed": configuration.installed,
            "written": [*configuration.written, *configuration.links],
            "removed": configuration.removed,
            "sites": configuration.sites(module.params["unknown_hosts"]),
            "predecessors": [one["role"] for one in module.params["replaces"] if configuration.precedes(one)],
            "diff": list(configuration.diff()),
        }
        if not configuration.installed and not module.check_mode and configuration.files:
            raise RefusedError(
                f"{kind.role}_packages: {kind.program} is not installed. Leave the variable out, or install it before this "
                "role."
            )
        if not configuration.installed:
            result["changed"] = bool(configuration.files)
            if configuration.files:
                module.warn(
                    f"{kind.program} is not installed yet, so this dry run cannot tell whether it accepts its configuration."
                )
        elif configuration.changed:
            configuration.check()
            if not module.check_mode:
                configuration.replace()
        result["restart"] = configuration.restart
        return result
