"""What the Ansible modules that call the engine share: arguments (plugins/doc_fragments/release.py), and how they fail."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.flask.plugins.module_utils.engine.activation import finish
from ansible_collections.slipway.flask.plugins.module_utils.engine.errors import NO_ROOM, ReleaseError, no_room
from ansible_collections.slipway.flask.plugins.module_utils.engine.lock import Deploy
from ansible_collections.slipway.flask.plugins.module_utils.engine.plan import Plan, interpreter
from ansible_collections.slipway.flask.plugins.module_utils.engine.traffic import Traffic
from ansible_collections.slipway.flask.plugins.module_utils.writing import NOT_SHOWN

HOME: dict[str, Any] = {"home": {"type": "path", "required": True}}
STEP: dict[str, Any] = {**HOME, "lock": {"type": "str", "default": ""}}
INSTANCES: dict[str, Any] = {
    "run": {"type": "path", "required": True},
    "name": {"type": "str", "required": True},
    "user": {"type": "str", "required": True},
    "socket_group": {"type": "str", "required": True},
}

PLAN: dict[str, Any] = {
    "plan": {
        "type": "dict",
        "required": True,
        "options": {
            "user": {"type": "str", "required": True},
            "module": {"type": "str", "required": True},
            "server": {"type": "str", "required": True},
            "uv": {"type": "path", "required": True},
            "python": {"type": "str", "required": True},
            "static_dir": {"type": "str", "required": True},
            "static_url": {"type": "str", "required": True},
            "static_kinds": {"type": "list", "elements": "str", "required": True},
            "static_forbidden_suffixes": {"type": "list", "elements": "str", "required": True},
            "sandbox": {"type": "dict", "required": True},
            "build_service": {"type": "dict", "required": True},
            "shared_dirs": {"type": "list", "elements": "str", "default": []},
            "build": {"type": "list", "elements": "str", "default": []},
            "prestart": {"type": "list", "elements": "str", "default": []},
            "migrate": {"type": "bool", "default": True},
            "source": {"type": "str", "default": ""},
            "folder": {"type": "str", "default": ""},
            "force": {"type": "bool", "default": False},
        },
    }
}
# What the control machine says of a deploy that asks for the lock; nothing in a dry run.
ASKS: dict[str, Any] = {
    "asks": {
        "type": "dict",
        "options": {
            "run": {"type": "str", "required": True},
            "holder": {"type": "dict", "required": True},
            "instead_of": {"type": "str", "default": ""},
            "force": {"type": "bool", "default": False},
        },
    }
}
GATE: dict[str, Any] = {
    "health_path": {"type": "str", "required": True},
    "health_host": {"type": "str", "required": True},
    "health_timeout": {"type": "int", "required": True},
}
# What the end of a deploy needs, and a step that may go on to it.
END: dict[str, Any] = {"drain_timeout": {"type": "int", "required": True}, "keep": {"type": "int", "required": True}}
ALONE: dict[str, Any] = {**END, "alone": {"type": "bool", "default": False}}


def traffic_of(params: dict[str, Any]) -> Traffic:
    """Return the traffic of the application that a module's arguments name."""
    return Traffic(*(params[name] for name in ("home", *INSTANCES)))


def plan_of(params: dict[str, Any]) -> Plan:
    """Return what a module's arguments say that a release is to be made of."""
    settings = {name: value for name, value in params["plan"].items() if name != "force"}
    return Plan(**{**settings, "home": params["home"], "python": interpreter(settings["python"])})


def take_lock(module: AnsibleModule) -> None:
    """Take the lock for a module, where it asks for it; end the module with the holder where another deploy has it."""
    home, asks = Path(module.params["home"]), module.params["asks"]
    if not asks:
        return
    deploy = Deploy(home, asks["run"])
    if not (home / "releases").is_dir():
        module.fail_json(
            msg=f"app_name: this host has no application of that name ({home}/releases is missing). "
            "Run site.yml first, or correct app_name.",
            invocation=NOT_SHOWN,
        )
    try:
        with errors_of(module):
            held = deploy.ask(asks["holder"], instead_of=asks["instead_of"], force=asks["force"])
    except OSError as error:  # the first that would notice a file system that is read-only
        module.fail_json(msg=f"{deploy.path}: {error.strerror}", invocation=NOT_SHOWN)
    if held:
        module.exit_json(held=held, invocation=NOT_SHOWN)


def end(module: AnsibleModule, lock: str) -> None:
    """Stop what should not run, remove old releases and give the lock back, where it is still this deploy's."""
    deploy = Deploy(module.params["home"], lock)
    with errors_of(module), deploy.alone():
        if deploy.ours:
            try:
                finish(traffic_of(module.params), module.params["keep"], module.params["drain_timeout"])
            finally:
                deploy.free()


@contextlib.contextmanager
def errors_of(module: AnsibleModule) -> Iterator[None]:
    """Fail the module with what the engine says, instead of a traceback."""
    try:
        yield
    except ReleaseError as error:
        module.fail_json(msg=str(error), invocation=NOT_SHOWN)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        module.fail_json(msg=no_room(module.params["home"]), invocation=NOT_SHOWN)


@contextlib.contextmanager
def step(module: AnsibleModule, lock: str = "") -> Iterator[Deploy]:
    """Run one step of the deploy whose lock the module was given; what fails fails the module."""
    deploy = Deploy(module.params["home"], lock or module.params["lock"])
    with errors_of(module), deploy.step():
        yield deploy
