"""The facts that preflight asks for: those of Ansible's own gathering, in less time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from ansible_collections.slipway.flask.plugins.plugin_utils.facts import FILES, facts

from plugin import ROOT

NONE = dict.fromkeys(FILES, "")


def gathered(folder: Path, *tasks: dict[str, object]) -> dict[str, object]:
    """Run tasks on this machine, and a play that gathers facts where there are none; return all facts."""
    (folder / "play.json").write_text(
        json.dumps(
            [
                {"hosts": "all", "gather_facts": False, "tasks": tasks},
                {
                    "hosts": "all",
                    "tasks": [{"ansible.builtin.copy": {"content": "{{ ansible_facts }}", "dest": f"{folder}/facts"}}],
                },
            ]
        )
    )
    program = Path(sys.executable).with_name("ansible-playbook")
    argv = [str(program), "-i", "localhost,", "-c", "local", str(folder / "play.json")]
    subprocess.run(argv, cwd=ROOT, check=True, capture_output=True)
    return dict(json.loads((folder / "facts").read_text()))


def test_the_facts_are_ansible_s_own_and_no_later_play_gathers_others(tmp_path: Path) -> None:
    ours = gathered(tmp_path, {"slipway.flask.server_facts": {"python": sys.executable}})
    theirs = gathered(
        tmp_path, {"ansible.builtin.setup": {"gather_subset": ["!all", "!min", "distribution", "hardware"]}}
    )
    assert ours.keys() - {"_ansible_facts_gathered"} == facts(NONE).keys()
    names = ours.keys() - {"mounts", "_ansible_facts_gathered"}
    assert {name: ours[name] for name in names} == {name: theirs[name] for name in names}


def test_another_distribution_keeps_its_name() -> None:
    known = facts(
        {**NONE, "/etc/os-release": 'ID=ubuntu\nNAME="Ubuntu"\nVERSION_ID="24.04"\n', FILES[1]: "trixie/sid\n"}
    )
    assert (known["distribution"], known["distribution_version"]) == ("Ubuntu", "24.04")
    testing = facts({**NONE, "/etc/os-release": "ID=debian\n", "/etc/debian_version": "forky/sid\n"})
    assert (testing["distribution"], testing["distribution_version"]) == ("Debian", "forky/sid")
    assert testing["distribution_major_version"] == ""


def test_a_file_system_s_quotas_are_seen() -> None:
    mounts = "proc /proc proc rw 0 0\n/dev/vda1 / ext4 rw,usrquota 0 0\n"
    (root,) = facts({**NONE, "/proc/mounts": mounts})["mounts"]
    assert root == {"device": "/dev/vda1", "mount": "/", "fstype": "ext4", "options": "rw,usrquota"}
