"""What the source says of its virtualenv, and of the application in it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from ansible_collections.slipway.flask.plugins.module_utils.engine import install, sandbox

from engine.host import PLAN


def test_a_source_that_points_at_the_server_s_own_files_is_read_as_its_builder(tmp_path: Path) -> None:
    """What root alone may read is refused to it, and a file that never ends is not begun."""
    code = tmp_path / "code"
    code.mkdir()
    code.chmod(0o755)
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(0o755)
    (code / "kernel.txt").symlink_to("/proc/kmsg")
    (tmp_path / "hashes.txt").write_text("")
    plan = dataclasses.replace(PLAN, server="uwsgi")
    found = sandbox.act_as("nobody", lambda: install.look(code, plan))
    assert found["module"] == PLAN.module
    (code / "uwsgi.ini").symlink_to("/etc/shadow")
    with pytest.raises(PermissionError):
        sandbox.act_as("nobody", lambda: install.look(code, plan))


@pytest.mark.parametrize(
    ("ini", "module"),
    [
        ("[uwsgi]\nmodule = app.main\n", "app.main:application"),
        ("[uwsgi]\n    module = app.main\n\tcallable = web\n", "app.main:web"),
        (
            "; module = no\n[other]\nmodule = no\n[uwsgi]\n# no\nwsgi-file=app/main.py\ncallable = create(1)\n",
            "app.main:create(1)",
        ),
        ("[uwsgi]\nw = site:web\n", "site:web"),
        ("[uwsgi]\nprocesses = 2\n", "main:app"),
        ("", "main:app"),
    ],
)
def test_an_application_s_uwsgi_ini_says_what_uwsgi_serves(ini: str, module: str, tmp_path: Path) -> None:
    (tmp_path / "uwsgi.ini").write_text(ini)
    assert install.module_of(tmp_path, dataclasses.replace(PLAN, server="uwsgi")) == module
    assert install.module_of(tmp_path, PLAN) == "main:app"
