"""A role that somebody's own playbook runs, without preflight, refuses what preflight would: before it has asked the server anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rendered
from plugin import ROOT

CASES: dict[str, dict[str, Any]] = {
    "apache": {"apache_deflate_types": ["text/css evil"]},
    "app": {"app_uv_version": "1 2"},
    "certificates": {"certificates_acme_profile": "a b"},
    "common": {"common_timezone": "Europe/Berlin; evil"},
    "connection_limit": {"connection_limit_packages": ["nftables\nevil"]},
    "granian": {"granian_settings": {"process-name": "a\nb"}},
    "gunicorn": {"gunicorn_worker_tmp_dir": "/dev/shm\nevil"},
    "mail_relay": {"mail_relay_packages": ["postfix\nevil"]},
    "mod_wsgi": {"app_server_group": "site\nevil"},
    "nginx": {"nginx_client_max_body_size": "16m; return 301 http://evil/"},
    "postgresql": {"postgresql_locale": "C evil"},
    "supervisor": {"supervisor_program": {"environment": "A=1 ;B=2"}},
    "systemd": {"systemd_service": {"Environment": "A=1\nExecStart=/bin/evil"}},
    "uwsgi": {"uwsgi_settings": {"env": "A=1\x0bB=2"}},
    "valkey": {"valkey_group": "site\nevil"},
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return what each role says. Its host does not exist."""
    folder = tmp_path_factory.mktemp("alone")
    facts = {key: value for key, value in rendered.NEEDED.items() if key not in ("inventory_hostname", "ansible_facts")}
    hosts = {role: {**variables, "ansible_host": "none.invalid"} for role, variables in CASES.items()}
    (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts, "vars": facts}}))
    play = {
        "hosts": "all",
        "gather_facts": False,
        "vars": {"ansible_facts": rendered.FACTS},
        "tasks": [{"ansible.builtin.include_role": {"name": "slipway.flask.{{ inventory_hostname }}"}}],
    }
    (folder / "play.json").write_text(json.dumps([play]))
    program = Path(sys.executable).with_name("ansible-playbook")
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
    }
    argv = [str(program), f"--inventory={folder}/hosts.json", f"{folder}/play.json"]
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("{"), done.stdout + done.stderr
    return {
        host: result["msg"]
        for task in json.loads(done.stdout)["plays"][0]["tasks"]
        for host, result in task["hosts"].items()
        if result.get("failed") or result.get("unreachable")
    }


def test_every_role_has_a_case() -> None:
    assert {path.parts[-3] for path in rendered.ROLES.glob("*/tasks/main.yml")} == set(CASES)


@pytest.mark.parametrize("role", CASES)
def test_a_role_alone_refuses_what_preflight_refuses(answers: dict[str, str], role: str) -> None:
    (name,) = CASES[role]
    assert answers[role].startswith(f"{name}: ")
    assert len(answers[role].splitlines()) == 1


@pytest.mark.parametrize("role", CASES)
def test_a_role_s_defaults_are_not_refused(role: str) -> None:
    assert rendered.complaints(role) == []
