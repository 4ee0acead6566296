"""The inventories that come with Slipway."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from plugin import ROOT

INVENTORIES = [ROOT / "inventories/demo", ROOT / "examples/site/inventories/production"]


@pytest.mark.parametrize("inventory", INVENTORIES, ids=lambda path: path.name)
def test_nothing_of_an_environment_is_taken_for_a_host_but_its_hosts(inventory: Path) -> None:
    argv = [str(ROOT / ".venv/bin/ansible-inventory"), "--inventory", str(inventory), "--list"]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    known = subprocess.run(argv, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    assert known.stderr == ""
    groups = json.loads(known.stdout)
    assert groups["edge"]["hosts"] == groups["app"]["hosts"] == list(groups["_meta"]["hostvars"])


def test_the_example_s_templates_extend_what_roles_have() -> None:
    templates = list((ROOT / "examples/site/inventories/production/templates").glob("*/*"))
    assert templates
    for path in templates:
        theirs = ROOT / "roles" / path.parent.name / "templates" / path.name
        assert f"{{% extends 'templates/{path.name}' %}}" in path.read_text()
        blocks = re.findall(r"{% block (\w+) %}", path.read_text())
        assert set(blocks) <= set(re.findall(r"{% block (\w+) %}", theirs.read_text()))
