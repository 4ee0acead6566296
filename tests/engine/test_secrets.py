"""What only a build is told."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ansible_collections.slipway.flask.plugins.module_utils.engine import secrets

from engine.builds import Build
from engine.host import SYSTEMD_RUN, Host
from plugin import ROOT

TOKEN = "t0ken-of-the-index"


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    """Return a `next` without secrets."""
    for name in secrets.NAMES:
        (tmp_path / name).write_text("\n")
    (tmp_path / "build_env").write_text("{}")
    return tmp_path


def test_nothing_is_told_where_nothing_is_set(stage: Path) -> None:
    assert secrets.environment(stage) == {}
    assert secrets.credentials(stage) == []


def test_every_value_is_a_variable_of_the_build(stage: Path) -> None:
    (stage / "build_env").write_text(json.dumps({"UV_INDEX": f"https://u:{TOKEN}@index.test/", "CI": 1}))
    assert secrets.environment(stage) == {"UV_INDEX": f"https://u:{TOKEN}@index.test/", "CI": "1"}


def test_a_deploy_key_is_a_credential_that_git_uses_and_no_agent_is(stage: Path) -> None:
    (stage / "build_deploy_key").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    assert secrets.credentials(stage) == [
        f"{name}:{stage}/{name}" for name in ("build_deploy_key", "build_known_hosts")
    ]
    command = secrets.environment(stage)["GIT_SSH_COMMAND"]
    assert "IdentityAgent=none" in command
    assert "StrictHostKeyChecking=yes" in command


def test_an_agent_with_the_operator_s_keys_does_not_reach_a_build(
    source: Build, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"SSH_AUTH_SOCK": "/run/agent", "UV_HTTP_TIMEOUT": "7"}.items():
        monkeypatch.setenv(name, value)
    told_by = (
        f'case $option in --property=EnvironmentFile=*) cat "${{option#*=*=}}" >> {host.folder}/environment ;; esac'
    )
    host.program("systemd-run", f"for option; do {told_by}; done\n{SYSTEMD_RUN}")
    source.make()
    told = (host.folder / "environment").read_text()
    assert 'UV_HTTP_TIMEOUT="7"\n' in told
    assert "SSH_AUTH_SOCK" not in told


@pytest.mark.parametrize("name", ["env", "build_env", "build_deploy_key"])
def test_no_diff_shows_a_file_with_secrets(name: str) -> None:
    """What `secret` does is asked in tests/test_release_files.py."""
    staged = (ROOT / "roles/app/vars/main.yml").read_text()
    assert re.search(rf"'dest': '{name}'[^}}]*'secret': true", staged)


def test_a_secret_that_a_failed_build_prints_is_not_said(source: Build, host: Host) -> None:
    """Also where it is a part of an address."""
    index = f"https://reader:{TOKEN}@index.test/simple/"
    (host.home / "next/build_env").write_text(json.dumps({"INDEX": index, "CI": "1"}))
    host.program("uv", f"echo 'https://reader:{TOKEN}@index.test/x.whl: cannot log in with {TOKEN} 1' >&2; exit 1")
    assert source.failing().endswith("https://reader:********@index.test/x.whl: cannot log in with ******** 1")
