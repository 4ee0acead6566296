"""What the Ansible modules that call the engine share: arguments (plugins/doc_fragments/release.py), and how they fail."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.flask.plugins.module_utils.engine.errors import NO_ROOM, ReleaseError, no_room
from ansible_collections.slipway.flask.plugins.module_utils.engine.lock import Deploy
from ansible_collections.slipway.flask.plugins.module_utils.engine.traffic import Traffic

HOME: dict[str, Any] = {"home": {"type": "path", "required": True}}
STEP: dict[str, Any] = {**HOME, "lock": {"type": "str", "default": ""}}
INSTANCES: dict[str, Any] = {
    "run": {"type": "path", "required": True},
    "name": {"type": "str", "required": True},
    "user": {"type": "str", "required": True},
    "socket_group": {"type": "str", "required": True},
}


def traffic_of(params: dict[str, Any]) -> Traffic:
    """Return the traffic of the application that a module's arguments name."""
    return Traffic(*(params[name] for name in ("home", *INSTANCES)))


@contextlib.contextmanager
def errors_of(module: AnsibleModule) -> Iterator[None]:
    """Fail the module with what the engine says, instead of a traceback."""
    try:
        yield
    except ReleaseError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        module.fail_json(msg=no_room(module.params["home"]))


@contextlib.contextmanager
def step(module: AnsibleModule) -> Iterator[Deploy]:
    """Run one step of the deploy whose lock the module was given; what fails fails the module."""
    deploy = Deploy(module.params["home"], module.params["lock"])
    with errors_of(module), deploy.step():
        yield deploy
