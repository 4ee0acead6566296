"""What preflight says of an application's variables, asked on the control machine: all cases are hosts of one run.

That nothing has changed by then, and what only a server can tell, is asked by the scenario `default`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from plugin import ROOT

GOOD = {"app_name": "guestbook", "app_source": str(ROOT / "app")}
CASES: list[tuple[dict[str, Any], str]] = [
    ({"app_name": ""}, 'app_name: "" cannot name an application. Set app_name in'),
    ({"app_name": "Guest Book"}, 'app_name: "Guest Book" cannot name an application'),
    ({"app_name": "guest-book"}, 'app_name: "guest-book" cannot name'),
    ({"app_name": "x; rm -rf /"}, 'app_name: "x; rm -rf /" cannot name'),
    ({"app_name": "a" * 32}, "cannot name an application"),
    ({"app_name": "postgres"}, 'app_name: "postgres" cannot name'),
    ({"app_name": "guestbook\n"}, "cannot name an application"),
    ({"app_name": "public"}, 'app_name: "public" cannot name'),
    ({"app_name": "_apt"}, 'app_name: "_apt" cannot name'),
    ({"app_name": 7}, 'app_name: "7" cannot name'),
    ({"app_source": ""}, "app_source: there is no folder '' on the control machine. Name an existing folder"),
    ({"app_source": "/no/such/folder"}, "app_source: there is no folder '/no/such/folder'"),
    ({"app_source": "file:///no/such.git"}, "app_source, app_source_ref: git cannot fetch 'HEAD'"),
    ({"app_source": str(ROOT), "app_source_ref": "no-such-ref"}, "git cannot fetch 'no-such-ref'"),
    ({"app_source_path": "nowhere"}, "app_source: there is no folder"),
    ({"app_env": {"A-B": "1"}}, "app_env: A-B cannot name an environment variable"),
    ({"app_domains": []}, "app_domains: it is empty"),
    ({"app_static_url": "/"}, "app_static_url: / is no folder of the site"),
    ({"app_static_dir": ".."}, "app_static_dir: .. is no folder below the source"),
    ({"app_shared_dirs": ["/var/lib/x"]}, "app_shared_dirs: /var/lib/x are no folders below the source"),
    ({"app_shared_dirs": ["."]}, "app_shared_dirs: . are no folders"),
    ({"app_shared_dirs": ["a", "a/b"]}, "app_shared_dirs: one of the folders lies in another"),
    (
        {"app_workers": [{"name": "Mail!", "command": "true"}]},
        "app_workers, app_timers: Mail! cannot name a program",
    ),
    ({"app_before_build": ["/nowhere/hook.yml"]}, "there is no file /nowhere/hook.yml on the control machine"),
    ({"app_deploy_serial": 0}, "app_deploy_serial: 0 hosts at a time are too few"),
]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return what is said of each case, by its number."""
    folder = tmp_path_factory.mktemp("preflight")
    hosts = {str(number): {**GOOD, **variables} for number, (variables, _) in enumerate(CASES)}
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "app_domains": ["site.test"]}
    (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts, "vars": here}}))
    tasks = [
        {"ansible.builtin.import_tasks": str(ROOT / "playbooks/tasks/app_name.yml")},
        {"ansible.builtin.import_role": {"name": "app", "tasks_from": "preflight"}},
    ]
    (folder / "play.json").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    argv = [
        str(Path(sys.executable).with_name("ansible-playbook")),
        f"--inventory={folder}/hosts.json",
        f"{folder}/play.json",
    ]
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
    }
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("{"), done.stdout + done.stderr
    said = dict.fromkeys(hosts, "")
    for task in json.loads(done.stdout)["plays"][0]["tasks"]:
        said.update({host: result["msg"] for host, result in task["hosts"].items() if result.get("failed")})
    return said


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: f"{'-'.join(CASES[number][0])}-{number}")
def test_a_variable_that_cannot_work_is_named(answers: dict[str, str], number: int) -> None:
    assert CASES[number][1] in answers[str(number)]
    assert "Traceback" not in answers[str(number)]
