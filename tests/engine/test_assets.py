"""The shell's part of a build that makes an application's assets."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.flask.plugins.module_utils.engine import assets

from engine.builds import UV, Build
from engine.host import Host


@pytest.mark.parametrize(("node", "options"), [("node==1 --hash=sha256:00\n", " --require-hashes"), ("node==1\n", "")])
def test_node_is_installed_with_hashes_where_it_has_some(node: str, options: str, tmp_path: Path) -> None:
    (tmp_path / "node.txt").write_text(node)
    lines = assets.script(["npm ci"], "uv", tmp_path / "build", tmp_path / "node.txt")
    (install,) = (line for line in lines if line.startswith("uv pip install"))
    assert install.endswith(f" --requirement {tmp_path}/node.txt{options}")


def test_without_commands_nothing_is_installed(tmp_path: Path) -> None:
    (tmp_path / "node.txt").write_text("node==1\n")
    assert assets.script([], "uv", tmp_path / "build", tmp_path / "node.txt") == []


def test_what_the_commands_make_is_published(source: Build) -> None:
    """Each begins in the application's folder, whatever the one before did."""
    build = ["mkdir made && cd made", "echo 'a {}' > static/made.css", "test -d made"]
    release, _ = source.make(build=build)
    assert (release.path / "public/static/made.css").read_text() == "a {}\n"


def test_a_command_that_fails_is_named(source: Build, host: Host) -> None:
    host.program("uv", UV)
    said = source.failing(build=["echo made", "cat nothing", "echo never"])
    assert said.startswith("app_build: one of its commands failed.")
    assert "+ cat nothing" in said
    assert "never" not in said
