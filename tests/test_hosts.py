"""A run that cannot do what it is for is an error: Ansible itself would say that it went well."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from plugin import ROOT
from test_playbooks import play_of, task_of

PLAYBOOKS = sorted(path.name for path in (ROOT / "playbooks").glob("*.yml"))
# They follow preflight, and are never run alone.
PARTS = {"obtain.yml", "protocol.yml", "provision.yml", "release.yml"}
HERE = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "app_name": "site"}


def run(folder: Path, playbook: str | Path, *arguments: str, config: Path = ROOT / "ansible.cfg") -> tuple[int, str]:
    """Run a playbook in a folder; return its exit code, and what it said in one line."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    done = subprocess.run(
        [program, str(playbook), *arguments],
        env={**environment, "ANSIBLE_CONFIG": str(config)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def inventory(folder: Path, **groups: list[str]) -> Path:
    """Write an inventory with these groups; return its file."""
    children = {group: {"hosts": dict.fromkeys(hosts)} for group, hosts in groups.items()}
    path = folder / "hosts.json"
    path.write_text(json.dumps({"all": {"vars": HERE, "children": children}}))
    return path


def first_hosts(name: str) -> str:
    """Return the hosts of the first play of a playbook, or of one that it begins with."""
    first: dict[str, Any] = yaml.safe_load((ROOT / "playbooks" / name).read_text())[0]
    begins_with = first.get("ansible.builtin.import_playbook")
    return first_hosts(begins_with) if begins_with else str(first["hosts"])


@pytest.mark.parametrize("name", sorted(set(PLAYBOOKS) - PARTS))
def test_each_playbook_asks_first_whether_it_can_do_what_it_is_for(name: str) -> None:
    assert first_hosts(name).startswith("{{ lookup('slipway.flask.hosts', ")


@pytest.mark.parametrize("name", ["deploy.yml", "rollback.yml"])
@pytest.mark.parametrize("options", ["--tags nginx", "--skip-tags slow", "--start-at-task Nothing"])
def test_tasks_that_are_left_out_are_an_error(tmp_path: Path, name: str, options: str) -> None:
    hosts = inventory(tmp_path, app=["one"], edge=["one"], db=[])
    code, said = run(ROOT, f"playbooks/{name}", f"--inventory={hosts}", *options.split())
    assert code != 0
    assert f"{options}: this would leave out tasks that others need. Nothing was changed." in said
    assert "PLAY [" not in said


@pytest.mark.parametrize(
    ("name", "missing"), [("site.yml", "no hosts, or"), ("maintenance.yml", "no hosts in the groups edge, or")]
)
def test_an_inventory_without_hosts_is_an_error(tmp_path: Path, name: str, missing: str) -> None:
    hosts = inventory(tmp_path, app=[], edge=[], db=[])
    code, said = run(ROOT, f"playbooks/{name}", f"--inventory={hosts}")
    assert code != 0
    assert f"-i: the inventory {hosts} has {missing} cannot be read. Nothing was changed. Name the folder" in said
    assert "PLAY [" not in said


@pytest.mark.parametrize(
    ("name", "groups"),
    [("deploy", "app, edge"), ("rollback", "app, edge"), ("certificate", "edge"), ("maintenance", "edge")],
)
def test_a_limit_that_leaves_out_every_host_it_is_for_is_an_error(tmp_path: Path, name: str, groups: str) -> None:
    hosts = inventory(tmp_path, app=["one"], edge=["one"], db=["two"])
    code, said = run(ROOT, f"playbooks/{name}.yml", f"--inventory={hosts}", "--limit=two")
    assert code != 0
    assert (
        f"--limit two: this leaves no host of the groups {groups}, which the run is for. Nothing was changed." in said
    )
    assert "PLAY [" not in said


@pytest.mark.parametrize(("name", "limit"), [("site", "two"), ("status", "two"), ("deploy", "one"), ("deploy", "o*")])
def test_a_limit_to_some_of_its_hosts_is_none(tmp_path: Path, name: str, limit: str) -> None:
    hosts = inventory(tmp_path, app=["one"], edge=["one"], db=["two"])
    code, said = run(ROOT, f"playbooks/{name}.yml", f"--inventory={hosts}", f"--limit={limit}", "--list-hosts")
    assert code == 0
    assert "--limit" not in said


@pytest.mark.parametrize("name", ["status", "logs", "rollback"])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"edge": None}, "edge: null is not a web server that Slipway supports. Set it to nginx or apache."),
        ({"app_domains": None}, "app_domains: it is empty (null). Give it a value, or take the line out."),
    ],
    ids=["edge", "app_domains"],
)
def test_what_every_playbook_goes_by_is_checked_without_preflight(
    tmp_path: Path, name: str, wrong: dict[str, None], message: str
) -> None:
    hosts = inventory(tmp_path, app=["one"], edge=["one"], db=[])
    code, said = run(ROOT, f"playbooks/{name}.yml", f"--inventory={hosts}", f"--extra-vars={json.dumps(wrong)}")
    assert code != 0
    assert message in said
    assert "_Ansible" not in said


def test_a_missing_name_is_named_where_the_domains_are_made_from_it(tmp_path: Path) -> None:
    hosts = inventory(tmp_path, app=["one"], edge=["one"], db=[])
    told = json.loads(hosts.read_text())
    del told["all"]["vars"]["app_name"]
    told["all"]["vars"]["app_domains"] = ["{{ app_name }}.example.org"]
    hosts.write_text(json.dumps(told))
    code, said = run(ROOT, "playbooks/status.yml", f"--inventory={hosts}")
    assert code != 0
    assert 'app_name: "" cannot name an application. Set it in the inventory' in said


def test_a_database_elsewhere_wants_the_addresses_of_those_that_connect_to_it(tmp_path: Path) -> None:
    """What the playbooks make of them is not what is named: an inventory cannot set it."""
    hosts = inventory(tmp_path, app=["one", "two"], edge=["one"], db=["three"])
    code, said = run(ROOT, "playbooks/preflight.yml", f"--inventory={hosts}")
    assert code != 0
    assert (
        "private_address: the database is on three, other hosts connect to it by IPv4 address, and that of one, three, two is not"
        in said
    )


def test_a_misspelt_inventory_is_an_error_also_next_to_a_good_one(tmp_path: Path) -> None:
    hosts = inventory(tmp_path, app=["one"], edge=["one"], db=[])
    code, said = run(ROOT, "playbooks/status.yml", f"--inventory={hosts}", f"--inventory={tmp_path}/prodution")
    assert code != 0
    assert said == f"[ERROR]: Completely failed to parse inventory source {tmp_path}/prodution"
    # And where a user's own ansible.cfg does not say so.
    (tmp_path / "ansible.cfg").write_text(f"[defaults]\ncollections_path={ROOT}/.collections\n")
    code, said = run(ROOT, "playbooks/status.yml", f"--inventory={tmp_path}/prodution", config=tmp_path / "ansible.cfg")
    assert code != 0
    assert f"-i: the inventory {tmp_path}/prodution has no hosts in the groups app, db, edge, or cannot be read" in said


def test_a_run_without_an_inventory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "ansible.cfg").write_text(f"[defaults]\ncollections_path={ROOT}/.collections\n")
    code, said = run(tmp_path, ROOT / "playbooks/status.yml", config=tmp_path / "ansible.cfg")
    assert code != 0
    assert "-i: the inventory /etc/ansible/hosts has no hosts in the groups app, db, edge, or cannot be read." in said


def test_an_inventory_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("all: {hosts: {one: }\n")
    code, said = run(ROOT, "playbooks/status.yml", f"--inventory={tmp_path}/hosts.yml")
    assert code != 0
    assert f"Failed to parse inventory source {tmp_path}/hosts.yml" in said.replace("Completely failed", "Failed")
    assert "PLAY [" not in said


@pytest.mark.parametrize(
    ("groups", "variables", "good"),
    [
        ({"app": ["one"], "edge": ["one"], "db": []}, {}, True),
        ({"app": ["one"], "edge": ["one"]}, {"app_server": "none"}, True),
        ({"app": ["one"], "edge": ["one"]}, {}, False),
        ({"app": ["one"], "db": ["one"]}, {}, False),
        ({"app": ["one"], "egde": ["one"], "db": []}, {}, False),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_group_that_is_missing_is_an_error(
    tmp_path: Path, groups: dict[str, list[str]], variables: dict[str, str], *, good: bool
) -> None:
    """It may be misspelt; one without hosts says that it is meant."""
    preflight = play_of("preflight.yml", "Check before anything is changed")["tasks"]
    task = task_of(preflight, "Check what the inventory chooses, and its groups")
    wired = {"hosts": "all", "gather_facts": False, "roles": [str(ROOT / "playbooks/roles/wiring")]}
    (tmp_path / "roles").symlink_to(ROOT / "roles")
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks/asked.yml").write_text(yaml.safe_dump([{**wired, "tasks": [task]}]))
    given = [f"--extra-vars={json.dumps(variables)}", f"--inventory={inventory(tmp_path, **groups)}"]
    code, said = run(ROOT, tmp_path / "playbooks/asked.yml", *given)
    assert (code == 0) is good, said
    missing = ", ".join(f"{group} {groups.get(group, 'missing')}" for group in ("edge", "app", "db"))
    assert good or f"Now: {missing}." in said


@pytest.mark.parametrize("name", ["site.yml", *(f"playbooks/{name}" for name in sorted(set(PLAYBOOKS) - PARTS))])
def test_a_playbook_in_another_folder_says_where_to_run_it(tmp_path: Path, name: str) -> None:
    (tmp_path / "ansible.cfg").write_text("[defaults]\ncollections_path=collections\n")
    code, said = run(tmp_path, ROOT / name, config=tmp_path / "ansible.cfg")
    assert code != 0
    error = said.partition("[ERROR]: ")[2]
    assert error.startswith(
        "ansible.cfg: the one of this clone was not read, so the collection slipway.flask was not found. Run ansible-playbook in the "
        f"folder {ROOT}, which has it. Origin: "
    )


def test_what_ansible_says_of_a_collection_in_another_folder_is_explained_by_the_readme(tmp_path: Path) -> None:
    (tmp_path / "ansible.cfg").write_text("[defaults]\ncollections_path=collections\n")
    code, said = run(tmp_path, "slipway.flask.deploy", config=tmp_path / "ansible.cfg")
    assert code != 0
    assert f'| "{said.removeprefix("[ERROR]: ")}" |' in (ROOT / "README.md").read_text()


def row_of(words: str) -> str:
    """Return the row of the README that explains these words."""
    (row,) = (line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith(f'| "{words}'))
    return row


@pytest.mark.parametrize("name", ["site", "deploy", "status"])
def test_an_ansible_that_is_too_old_is_an_error_whose_words_the_readme_explains(tmp_path: Path, name: str) -> None:
    collection = tmp_path / "ansible_collections/slipway/flask"
    for part in ("playbooks", "plugins", "roles"):
        (collection / part).parent.mkdir(parents=True, exist_ok=True)
        (collection / part).symlink_to(ROOT / part)
    (collection / "meta").mkdir()
    (collection / "meta/runtime.yml").write_text('requires_ansible: ">=99"\n')
    config = (ROOT / "ansible.cfg").read_text().replace(".collections:", f"{tmp_path}:")
    (tmp_path / "ansible.cfg").write_text(config)
    hosts = inventory(tmp_path, app=["one"], edge=["one"], db=[])
    code, said = run(tmp_path, f"slipway.flask.{name}", f"--inventory={hosts}", config=tmp_path / "ansible.cfg")
    assert code != 0
    words = "Collection slipway.flask does not support Ansible version"
    assert words in said
    needed = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["requires_ansible"]
    assert f"'ansible-core{needed.removesuffix('.0')}'" in row_of(words)


def test_an_encrypted_file_without_its_password_is_an_error_whose_words_the_readme_explains(tmp_path: Path) -> None:
    hosts = inventory(tmp_path, app=["one"], edge=["one"], db=[])
    secrets, password = tmp_path / "group_vars/all.yml", tmp_path / "password"
    secrets.parent.mkdir()
    secrets.write_text("app_env: {TOKEN: x}\n")
    password.write_text("a password\n")
    vault = Path(sys.executable).with_name("ansible-vault")
    subprocess.run([vault, "encrypt", f"--vault-password-file={password}", secrets], capture_output=True, check=True)
    code, said = run(ROOT, "playbooks/status.yml", f"--inventory={hosts}")
    assert code != 0
    words = "Attempting to decrypt but no vault secrets found"
    assert words in said
    assert "`--ask-vault-pass`" in row_of(words)


@pytest.mark.parametrize(
    ("words", "said", "explained"),
    [
        (
            "sudo: a password is required",
            "sudo on one wants a password, and has none or a wrong one. Add --ask-become-pass",
            "Missing sudo password",
        ),
        ("ada is not in the sudoers file.", "Ansible cannot run its modules as root on one, for the reason above.", ""),
    ],
)
def test_what_keeps_ansible_from_becoming_root_is_said(tmp_path: Path, words: str, said: str, explained: str) -> None:
    """explained: Ansible's own words, which other playbooks end with, and the README explains.

    By Ansible's own connection over SSH, to a program that is this machine's shell, and a sudo that refuses.
    """
    for name, script in {
        "ssh": 'for last; do :; done; exec sh -c "$last"',
        "sudo": f"echo '{words}' >&2; exit 1",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    here = {
        **HERE,
        "ansible_connection": "ssh",
        "ansible_user": "ada",
        "ansible_ssh_executable": f"{tmp_path}/ssh",
        "ansible_become_exe": f"{tmp_path}/sudo",
        "app_source": str(ROOT / "app"),
        "app_domains": ["site.test"],
    }
    groups = {group: {"hosts": {"one": None}} for group in ("app", "db", "edge")}
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"vars": here, "children": groups}}))
    code, output = run(ROOT, "playbooks/preflight.yml", f"--inventory={tmp_path}/hosts.json")
    assert code != 0
    assert said in output, output
    assert not explained or (explained in output and "`--ask-become-pass`" in row_of(explained)), output
    assert "Traceback" not in output
