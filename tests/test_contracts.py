"""docs/contracts: one more app server costs its role and a word, and what the pages name is there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import docs
from plugin import ROOT

WORD = "choices: [gunicorn, uwsgi, granian, mod_wsgi, none]"
CONTRACTS = sorted((ROOT / "docs/contracts").glob("*.md"))
KINDS = {
    "app-server": ["gunicorn", "uwsgi", "granian", "mod_wsgi"],
    "process-manager": ["systemd", "supervisor"],
    "edge": ["nginx", "apache"],
    "database": ["postgresql"],
}


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """Return a copy of the collection with an app server more: gunicorn's role under another name, and the word."""
    folder = tmp_path / "ansible_collections/slipway/flask"
    for part in ("playbooks", "plugins", "roles", "templates", "meta"):
        shutil.copytree(ROOT / part, folder / part)
    shutil.copytree(folder / "roles/gunicorn", folder / "roles/dummy")
    for path in (folder / "roles/dummy").rglob("*.*"):
        # Its package is still gunicorn.
        text = re.sub(r"gunicorn_(?!pin)(\w+)", r"dummy_\1", path.read_text()).replace("('/gunicorn')", "('/dummy')")
        path.write_text(
            text.replace("['/gunicorn']", "['/dummy']").replace("bin/gunicorn.conf.py", "bin/dummy.conf.py")
        )
    spec = folder / "roles/app/meta/argument_specs.yml"
    assert WORD in spec.read_text()
    spec.write_text(spec.read_text().replace(WORD, WORD.replace("]", ", dummy]")))
    return folder


def test_one_more_app_server_is_its_role_and_a_word(collection: Path) -> None:
    """Preflight knows its variables, and it adds to a release what the contract asks for."""
    (collection / "hosts.yml").write_text(
        yaml.safe_dump(
            {
                "app": {
                    "hosts": {"here": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}}
                },
                "edge": {"hosts": {"here": None}},
                "all": {
                    "vars": {"app_name": "site", "app_source": ".", "app_server": "dummy", "dummy_workers": 3},
                },
            }
        )
    )
    role = {"name": "slipway.flask.{{ _app_server }}"}
    tasks = [
        {
            "slipway.flask.validate_variables": {
                "roles": "{{ _roles_here }}",
                "path": "{{ playbook_dir }}/../roles",
                "wired": "{{ _wired }}",
                "others": ["edge"],
            },
            "vars": {"app_wired_env": {}},
        },
        {"ansible.builtin.assert": {"that": "query('slipway.flask.complaints', _app_server) == []"}},
        {"ansible.builtin.include_role": role},
    ]
    play = {"hosts": "app", "gather_subset": ["!all", "!min", "distribution", "hardware"], "roles": ["wiring"]}
    (collection / "playbooks/dummy.yml").write_text(yaml.safe_dump([{**play, "tasks": tasks}]))
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible-playbook")),
            f"--inventory={collection}/hosts.yml",
            "--check",
            "--diff",
            f"{collection}/playbooks/dummy.yml",
        ],
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(collection.parents[2]),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
        },
        cwd=collection,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("{"), done.stdout + done.stderr
    results = [task["hosts"]["here"] for task in json.loads(done.stdout)["plays"][0]["tasks"]]
    assert [result["msg"] for result in results if result.get("failed")] == []
    written = {file["after_header"]: file["after"] for result in results for file in result.get("diff") or []}
    release = "/srv/site/next"
    assert set(written) == {
        f"{release}/{name}" for name in ("requirements.txt", "hashes.txt", "bin/serve", "bin/dummy.conf.py")
    }
    assert "workers = 3\n" in written[f"{release}/bin/dummy.conf.py"]


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda path: path.stem)
def test_each_entry_point_that_a_contract_names_is_there(contract: Path) -> None:
    table = contract.read_text().partition("| entry point |")[2].partition("\n\n")[0]
    names = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert names
    missing = [
        f"{role}: {name}"
        for role in KINDS[contract.stem]
        for name in names
        if not (ROOT / f"roles/{role}/tasks/{name}.yml").exists()
    ]
    assert missing == []


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda path: path.stem)
def test_each_variable_that_a_contract_names_is_one_of_its_kind_s(contract: Path) -> None:
    prefixes = {name.replace("-", "_") for name in KINDS}
    text = re.sub(r"```diff.*?```", "", contract.read_text(), flags=re.DOTALL)
    named = {name for name in re.findall(r"`(\w+)`", text) if name.startswith(tuple(f"{one}_" for one in prefixes))}
    known = {name for role in docs.roles() for name in role.options}
    files = [*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("roles/*/vars/*.yml"), *ROOT.glob("plugins/modules/*.py")]
    texts = "".join(path.name + path.read_text() for path in files)
    assert {name for name in named - known if name not in texts} == set()


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda path: path.stem)
def test_what_a_contract_s_diff_changes_is_there(contract: Path) -> None:
    file = ""
    for line in "\n".join(re.findall(r"```diff\n(.*?)```", contract.read_text(), re.DOTALL)).splitlines():
        if line.startswith("--- a/"):
            file = (ROOT / line.removeprefix("--- a/")).read_text()
        elif line.startswith(("-", " ")):
            assert f"{line[1:]}\n" in file
