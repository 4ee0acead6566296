"""The inventories that come with Slipway."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from plugin import ROOT

INVENTORIES = [ROOT / "inventories/demo", ROOT / "examples/site/inventories/production"]


@pytest.mark.parametrize("inventory", INVENTORIES, ids=lambda path: path.name)
def test_nothing_of_an_environment_is_taken_for_a_host_but_its_hosts(inventory: Path) -> None:
    assert_only_its_hosts(inventory, ROOT)


def assert_only_its_hosts(inventory: Path, configuration: Path) -> None:
    """With the ansible.cfg of a folder, an inventory has the hosts of its hosts.yml and no other, and Ansible has no complaint."""
    argv = [str(ROOT / ".venv/bin/ansible-inventory"), "--inventory", str(inventory), "--list"]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(configuration / "ansible.cfg")}
    known = subprocess.run(argv, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    assert known.stderr == ""
    groups = json.loads(known.stdout)
    assert groups["edge"]["hosts"] == groups["app"]["hosts"] == list(groups["_meta"]["hostvars"])


@pytest.mark.parametrize("configuration", [ROOT, ROOT / "examples/site"], ids=["clone", "site"])
def test_an_environment_s_own_files_have_a_place(
    configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Directives, certificates and task files; Ansible reads whatever is in an inventory's folder as a list of hosts."""
    (tmp_path / "password").write_text("any: nothing here is encrypted")
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(tmp_path / "password"))
    inventory = Path(shutil.copytree(ROOT / "examples/site/inventories/production", tmp_path / "production"))
    files = {
        "nginx/private.conf": "internal;\n",
        "fullchain.pem": "-----BEGIN CERTIFICATE-----\n",
        "warm.yml": "- debug:\n",
    }
    for name, content in files.items():
        (inventory / "files" / name).parent.mkdir(parents=True, exist_ok=True)
        (inventory / "files" / name).write_text(content)
    assert_only_its_hosts(inventory, configuration)


def test_the_example_s_templates_extend_what_roles_have() -> None:
    templates = list((ROOT / "examples/site/inventories/production/templates").glob("*/*"))
    assert templates
    for path in templates:
        theirs = ROOT / "roles" / path.parent.name / "templates" / path.name
        assert f"{{% extends 'templates/{path.name}' %}}" in path.read_text()
        blocks = re.findall(r"{% block (\w+) %}", path.read_text())
        assert set(blocks) <= set(re.findall(r"{% block (\w+) %}", theirs.read_text()))
