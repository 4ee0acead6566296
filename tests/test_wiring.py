"""How the playbooks connect the roles: no default has a second home, and nothing private crosses a role's border."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import docs
from plugin import ROOT

PLAYBOOKS = sorted((ROOT / "playbooks").rglob("*.yml"))
TEXT = {path: path.read_text() for path in PLAYBOOKS}
ROLES = {role.name: role for role in docs.roles()}
DEFAULTS = {name: value for role in ROLES.values() for name, value in role.defaults.items()}


def test_no_default_of_a_role_is_written_again_in_a_playbook() -> None:
    """`lookup('slipway.flask.setting', ...)` knows it."""
    # postgresql_listen_addresses and the like are asked in hostvars, to be extended: that is the inventory's word alone.
    again = [
        f"{path.name}: {name}"
        for path, text in TEXT.items()
        for name in re.findall(r"(?<![.\w])(\w+) *\| *default\(", text)
        if name in DEFAULTS
    ]
    again += [
        f"{path.name}: {call}"
        for path, text in TEXT.items()
        for call in re.findall(r"lookup\('ansible\.builtin\.vars', [^)]*default=[^)]*\)", text)
        if "default=false" not in call
    ]
    assert again == []


def test_no_default_of_the_playbooks_own_is_written_twice() -> None:
    written = [
        found
        for text in TEXT.values()
        for found in re.findall(r"(?<![.\w])(\w+) *\| *default\(((?:'[^']+'|[0-9]+))\)", text)
    ]
    assert sorted(written) == sorted(set(written))


def test_a_playbook_reads_nothing_private_of_a_role() -> None:
    """What a role keeps for itself begins with an underscore and its name."""
    private = re.compile(rf"\b_({'|'.join(ROLES)})_\w+")
    found = {f"{path.name}: {match[0]}" for path, text in TEXT.items() for match in private.finditer(text)}
    own = {line.partition(":")[0].strip() for text in TEXT.values() for line in text.splitlines()}
    assert {name for name in found if name.partition(": ")[2] not in own} == set()


# docs/contracts/: whichever role is chosen, what it returns has this name.
RETURNED = {
    "application_removed",
    "application_status",
    "database_dumps",
    "database_logs",
    "database_status",
    "process_manager_logs",
}


def test_what_a_role_names_is_its_own_or_its_contract_s() -> None:
    found = set()
    for role in ROLES:
        for path in sorted((ROOT / "roles" / role).glob("*/*.yml")):
            registered = re.findall(r"^ +register: (\w+)$", path.read_text(), re.MULTILINE)
            found |= {f"{role}: {name}" for name in registered if not re.match(rf"_?{role}_", name)}
    assert {name.partition(": ")[2] for name in found} == RETURNED


def test_no_playbook_is_a_program() -> None:
    """What takes a loop or a condition in Jinja is a filter with its own test."""
    assert [path.name for path, text in TEXT.items() if "{%" in text] == []


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Return a function that asks for settings, with what an inventory says."""

    def ask(expression: str, **inventory: object) -> Any:
        folder = tmp_path_factory.mktemp("settings")
        task = {"ansible.builtin.copy": {"content": "{{ " + expression + " | to_json }}", "dest": str(folder / "said")}}
        play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "vars": inventory, "tasks": [task]}
        (folder / "play.yml").write_text(yaml.safe_dump([play]))
        command = [
            str(Path(sys.executable).with_name("ansible-playbook")),
            "--inventory=localhost,",
            f"{folder}/play.yml",
        ]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        return yaml.safe_load((folder / "said").read_text()) if done.returncode == 0 else done.stdout + done.stderr

    return ask


def test_a_setting_is_what_the_inventory_says_or_the_role_s_default(settings: Callable[..., Any]) -> None:
    names = "'app_static_url', 'app_domains', 'nginx_listen', 'app_none', 'app_uv_version'"
    said = settings(f"query('slipway.flask.setting', {names}, default='none')", app_uv_version="{{ 'templated' }}")
    assert said == ["/static/", ["localhost"], ROLES["nginx"].defaults["nginx_listen"], "none", "templated"]


def test_a_setting_that_no_role_has_is_named(settings: Callable[..., Any]) -> None:
    assert "app_statik is not set, and no role has a default for it." in settings(
        "lookup('slipway.flask.setting', 'app_statik')"
    )


def test_what_the_wiring_says_of_an_edge_is_what_its_role_says() -> None:
    wiring = yaml.safe_load((ROOT / "playbooks/roles/wiring/vars/main.yml").read_text())
    for edge in wiring["_edges"]:
        known = yaml.safe_load((ROOT / "roles" / edge["role"] / "vars/main.yml").read_text())["edge_server"]
        site = known["site"].replace("edge_site_name", "app_name")
        assert edge["reload_due"] == known["reload_due"]
        assert edge["sites"][0] == f"{known['root']}/{Path(known['site']).parent}"
        assert wiring["_edge_sites"][edge["role"]] == f"{known['root']}/{site}"
