"""An application to be built: its source, what the roles leave of it in `next`, and a uv that only notes what it is told."""

from __future__ import annotations

import dataclasses
import io
import os
import sys
import tarfile

import pytest
from ansible_collections.slipway.flask.plugins.module_utils.engine import build, secrets
from ansible_collections.slipway.flask.plugins.module_utils.engine.errors import ReleaseError
from ansible_collections.slipway.flask.plugins.module_utils.engine.plan import REQUIREMENTS, Plan
from ansible_collections.slipway.flask.plugins.module_utils.engine.record import Release

from engine.host import PLAN, Host

RUN = """#!/bin/sh
release=$(cd "$(dirname "$0")/.." && pwd -P)
PATH=$release/.venv/bin:$PATH
exec "$@"
"""
INSTANCE = '#!/bin/sh\n[ "$1" != limit ] || [ ! -e "$0.fails" ] || { echo "Slice is bad." >&2; exit 1; }\n'
# A virtualenv of this interpreter; what is installed is only noted.
UV = f"""
case "$*" in
  venv*) mkdir -p ../.venv/bin; ln -s {sys.executable} ../.venv/bin/python ;;
esac
"""


class Build:
    """An application's source, as the roles leave it in `next`, and the plan to build it."""

    def __init__(self, host: Host, accounts: dict[str, int]) -> None:
        self.host, self.site, self.builder = host, accounts["site"], accounts["site-build"]
        self.files = {"main.py": "app = 1\n", "static/site.css": "b {}\n", "static/notes.md": ""}
        stage = host.home / "next"
        for name in ("env", *REQUIREMENTS, *secrets.NAMES):
            (stage / name).write_text("")
        (stage / "build_env").write_text("{}")
        for name, script in {"run": RUN, "instance": INSTANCE, "uwsgi.ini": "of another app server"}.items():
            (stage / "bin" / name).write_text(script)
            (stage / "bin" / name).chmod(0o755)
        (host.home / "build").mkdir()
        (host.home / "shared").mkdir()
        host.home.chmod(0o755)
        for folder, owner in (("build", self.builder), ("shared", self.site)):
            os.chown(host.home / folder, owner, owner)
        host.program("uv", UV)
        self.plan = dataclasses.replace(PLAN, home=str(host.home), uv="uv")

    def pack(self) -> None:
        """Pack the source."""
        with tarfile.open(self.plan.stage / "source.tar.gz", "w:gz") as archive:
            for name, text in self.files.items():
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(text), 0o644
                archive.addfile(member, io.BytesIO(text.encode()))

    def make(self, **changed: object) -> tuple[Release, list[str]]:
        """Pack the source and build a release of it; return what is not published too."""
        self.pack()
        plan: Plan = dataclasses.replace(self.plan, **changed)  # type: ignore[arg-type] # fields by name
        release = Release(plan.home, plan.id)
        refused, self.note = build.make(release, plan)
        return release, refused

    def failing(self, **changed: object) -> str:
        """Build a release that cannot be built; return what is said, of which only the first line is kept."""
        with pytest.raises(ReleaseError) as error:
            self.make(**changed)
        plan: Plan = dataclasses.replace(self.plan, **changed)  # type: ignore[arg-type] # fields by name
        release = Release(plan.home, plan.id)
        assert [path.name for path in release.path.iterdir()] == ["release.json"]
        assert release.record["state"] == "failed"
        assert release.record["source"] == "v1"
        assert release.record["reason"] == str(error.value).splitlines()[0]
        return str(error.value)
