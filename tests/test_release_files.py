"""What a role adds to the next release: which template wins, and what is said before anything is written."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from plugin import ROOT

PLAYBOOK = """
- hosts: all
  gather_facts: false
  roles: [server]
"""
TASKS = """
- slipway.flask.release_files:
    dest: "{{ dest }}"
    templates: "{{ own + [role_path ~ '/templates'] }}"
    files:
      - {src: serve.j2, dest: bin/serve, mode: "0750", validate: sh -n %s}
      - {src: settings.j2, dest: settings}
      - {src: password.j2, dest: password, secret: true}
"""
SERVE = "echo {% block greeting %}hello{% endblock %} you\n{% include 'rest.j2' %}\n"


class Role:
    """A role of two templates, and an environment that has its own templates."""

    def __init__(self, folder: Path) -> None:
        self.own, self.dest = folder / "own", folder / "next"
        for path, text in {
            "play.yml": PLAYBOOK,
            "roles/server/tasks/main.yml": TASKS,
            "roles/server/templates/serve.j2": SERVE,
            "roles/server/templates/rest.j2": "echo the rest\n",
            "roles/server/templates/settings.j2": "a = 1\n",
            "roles/server/templates/password.j2": "swordfish\n",
        }.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        self.own.mkdir()
        (self.dest / "bin").mkdir(parents=True)
        self.play = folder / "play.yml"

    def run(self, *arguments: str) -> tuple[int, str]:
        """Make a dry run; return the exit code and the output, which is JSON."""
        variables = json.dumps(
            {"own": [str(self.own)], "dest": str(self.dest), "ansible_python_interpreter": "python3"}
        )
        argv = [
            f"{ROOT}/.venv/bin/ansible-playbook",
            "--inventory=localhost,",
            "--connection=local",
            "--check",
            "--diff",
        ]
        environment = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}
        done = subprocess.run(
            [*argv, f"--extra-vars={variables}", *arguments, str(self.play)],
            env={"PATH": f"{ROOT}/.venv/bin:/usr/bin:/bin", "HOME": str(self.dest), **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    def dry_run(self) -> tuple[int, dict[str, str], str]:
        """Return the exit code, each file's new content, and the error."""
        code, output = self.run()
        result: dict[str, Any] = json.loads(output)["plays"][0]["tasks"][0]["hosts"]["localhost"]
        news = {Path(file["after_header"]).name: file["after"] for file in result.get("diff", [])}
        return code, news, result.get("msg", "")


@pytest.fixture
def role(tmp_path: Path) -> Role:
    """Return the role."""
    return Role(tmp_path)


def test_a_role_s_own_templates_are_all_it_needs(role: Role) -> None:
    code, news, _ = role.dry_run()
    assert (code, news) == (
        0,
        {"serve": "echo hello you\necho the rest\n", "settings": "a = 1\n", "password": "secret\n"},
    )
    assert list((role.dest / "bin").iterdir()) == []


def test_a_file_that_is_as_it_should_be_is_left_alone(role: Role) -> None:
    """Ends of lines as elsewhere, too: a key that was pasted. In a dry run the owner differs where one is not root."""
    group, owner = os.getgid(), os.getuid()
    (role.play.parent / "roles/server/templates/settings.j2").write_text('a = {{ "1\\r\\n2" }}\n')
    (role.dest / "settings").write_bytes(b"a = 1\r\n2\n")
    (role.dest / "settings").chmod(0o640)
    _, news, _ = role.dry_run()
    assert ("settings" in news) == ((owner, group) != (0, 0))


def test_an_environment_overrides_a_block_or_what_is_included(role: Role) -> None:
    (role.own / "serve.j2").write_text("{% extends 'templates/serve.j2' %}\n{% block greeting %}ahoy{% endblock %}\n")
    (role.own / "rest.j2").write_text("echo more\n")
    code, news, _ = role.dry_run()
    assert (code, news["serve"]) == (0, "echo ahoy you\necho more\n")


def test_a_template_that_says_nothing_is_an_empty_file(role: Role) -> None:
    """Ansible makes None of it, and a requirements file with that word installs a package of that name."""
    (role.own / "settings.j2").write_text("{% if false %}\na\n{% endif %}\n")
    code, news, _ = role.dry_run()
    assert (code, news["settings"]) == (0, "")


def test_a_secret_is_shown_nowhere(role: Role) -> None:
    (role.dest / "password").write_text("herring\n")
    code, output = role.run("-vvvvv")
    assert code == 0, output
    assert '"password"' in output
    assert "swordfish" not in output
    assert "herring" not in output


def test_what_does_not_pass_its_validation_is_said(role: Role) -> None:
    (role.own / "serve.j2").write_text("if true; then\n")
    code, _, message = role.dry_run()
    assert code != 0
    assert message.startswith("bin/serve was not written: ")
    assert "end of file" in message


def test_a_template_that_nobody_has_is_named(role: Role) -> None:
    (role.play.parent / "roles/server/templates/settings.j2").unlink()
    code, _, message = role.dry_run()
    assert code != 0
    assert f"The template settings.j2 was not found in {role.own}, " in message


def test_a_diff_shows_no_bytes_that_are_no_text(role: Role) -> None:
    (role.dest / "settings").write_bytes(b"\xff\xfe")
    code, news, _ = role.dry_run()
    assert (code, news["settings"]) == (0, "binary\n")


def test_what_a_deploy_collects_is_neither_written_nor_shown_yet(role: Role) -> None:
    """M(slipway.flask.release_stage) writes it with the rest, and shows it then."""
    code, output = role.run("--extra-vars", '{"release_files_collect": true}', "-vv")
    assert code == 0, output
    assert "after_header" not in output
    assert "swordfish" not in output
    assert "censored" in output
