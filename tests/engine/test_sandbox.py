"""How what an application brings is run, as far as it needs no server: the rest is in the scenario hostile."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.slipway.flask.plugins.module_utils.engine import sandbox

from plugin import ROOT

USER = "nobody"
# What the two sandboxes of an application say in other words: the services' is a variable's, or a folder's more.
OWN = {"ReadWritePaths", "TemporaryFileSystem", "PrivatePIDs"}


def test_a_function_has_a_user_s_rights_alone_and_returns_what_it_found() -> None:
    found = sandbox.act_as(USER, lambda: {"user": os.geteuid(), "saved": os.getresuid()[2], "groups": os.getgroups()})
    account = pwd.getpwnam(USER)
    assert found == {"user": account.pw_uid, "saved": account.pw_uid, "groups": [account.pw_gid]}
    assert os.geteuid() == 0


def test_what_a_user_may_not_do_is_an_error_as_elsewhere() -> None:
    with pytest.raises(PermissionError, match="shadow"):
        sandbox.act_as(USER, Path("/etc/shadow").read_text)


def test_an_error_of_its_own_is_no_silence() -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        sandbox.act_as(USER, lambda: 1 // 0)
    with pytest.raises(RuntimeError, match="not JSON serializable"):
        sandbox.act_as(USER, object)


def test_a_value_is_quoted_for_a_file_of_variables() -> None:
    assert sandbox.quoted('a "b" $c `d` \\e') == '"a \\"b\\" \\$c \\`d\\` \\\\e"'


def test_output_without_an_end_is_not_kept() -> None:
    with Path("/dev/zero").open("rb") as endless:
        output, wrong = sandbox.read(endless.fileno(), 60)
    assert (len(output) >> 20, wrong) == (16, "stopped, as it printed more than 16 MiB")
    with Path("/etc/hostname").open("rb") as file:
        assert sandbox.read(file.fileno(), 60) == (Path("/etc/hostname").read_bytes(), "")


def test_directives_are_given_as_a_unit_file_has_them() -> None:
    given = {"PrivateTmp": None, "CapabilityBoundingSet": "", "SystemCallFilter": ["@system-service", "~@resources"]}
    assert sandbox.properties(given) == [
        "--property=CapabilityBoundingSet=",
        "--property=SystemCallFilter=@system-service",
        "--property=SystemCallFilter=~@resources",
    ]


def test_directives_get_further_entries() -> None:
    given = {"BindPaths": "/a", "Nice": 5}
    more = sandbox.extend(given, BindPaths=[Path("/b")], BindReadOnlyPaths=[Path("/c")])
    assert more == {"BindPaths": ["/a", Path("/b")], "BindReadOnlyPaths": [Path("/c")], "Nice": 5}
    assert given == {"BindPaths": "/a", "Nice": 5}


def test_the_build_has_a_sandbox_in_which_node_runs() -> None:
    """It compiles code, and looks for the CPUs in /proc/cpuinfo; nothing else of the application's may."""
    loader = DataLoader()
    known = loader.load_from_file(str(ROOT / "roles/app/vars/main.yml"), trusted_as_template=True)
    known |= {"app_name": "site", "app_build_service": {}, "ansible_facts": {"distribution_major_version": "13"}}
    templar = Templar(loader=loader, variables=known)
    build, before = (templar.template(known[name]) for name in ("_app_build_service", "_app_sandbox"))
    assert (build["MemoryDenyWriteExecute"], build["ProcSubset"]) == (False, "all")
    assert (before["MemoryDenyWriteExecute"], before["ProcSubset"]) == (True, "pid")


def test_what_runs_before_the_start_has_the_sandbox_of_the_services() -> None:
    """Two roles, neither of which knows the other."""
    app, systemd = (yaml.safe_load((ROOT / f"roles/{role}/vars/main.yml").read_text()) for role in ("app", "systemd"))
    before, services = app["_app_sandbox"], systemd["_systemd_sandbox"]
    assert before.keys() == services.keys() - {"PrivateTmp"}  # its /tmp is a TemporaryFileSystem
    assert {name for name in before if before[name] != services[name]} == OWN
