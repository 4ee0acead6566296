"""An application that needs a sibling of its folder, built by uv itself, without a network."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.slipway.flask.plugins.module_utils.engine.record import Release
from ansible_collections.slipway.flask.plugins.plugin_utils.packing import pack

from engine.builds import Build
from engine.host import Host
from plugin import ROOT

UV = ROOT / ".venv/bin/uv"
BACKEND = '[build-system]\nrequires = ["uv_build"]\nbuild-backend = "uv_build"\n'  # uv has it built in
LIBRARY = f'[project]\nname = "lib"\nversion = "1"\n{BACKEND}'
SERVICE = '[project]\nname = "web"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["lib"]\n'
ASKED = ("pyproject.toml", f'{SERVICE}[tool.uv.sources]\nlib = {{ path = "../../lib" }}\n')
# A service's file that names the library, what is at the root of the repository, and whether uv locks it.
LAYOUTS = {
    "path in pyproject.toml": (ASKED, "", ""),
    "path in uv.lock": (ASKED, "", "services/web"),
    "path in requirements.txt": (("requirements.txt", "../../lib\n"), "", ""),
    "editable in requirements.txt": (("requirements.txt", "-e ../../lib\n"), "", ""),
    "path in a file that requirements.txt includes": (("requirements.txt", "-r requirements/web.txt\n"), "", ""),
    "workspace": (
        ("pyproject.toml", f"{SERVICE}[tool.uv.sources]\nlib = {{ workspace = true }}\n"),
        '[tool.uv.workspace]\nmembers = ["lib", "services/*"]\n',
        ".",
    ),
}


def lay_out(root: Path, layout: str) -> None:
    """Write a repository with a service and a library."""
    (name, text), above, locked = LAYOUTS[layout]
    files = {
        "lib/pyproject.toml": LIBRARY,
        "lib/src/lib/__init__.py": "name = 'lib'\n",
        f"services/web/{name}": text,
        "services/web/requirements/web.txt": "../../lib\n",
        "services/web/main.py": "import lib\napp = lib.name\n",
        "services/web/static/site.css": "b {}\n",
        **({"pyproject.toml": above} if above else {}),
    }
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    if locked:
        lock = [str(UV), "lock", "--offline", "--quiet", "--python", sys.executable]
        subprocess.run(lock, cwd=root / locked, check=True)


def build(source: Build, host: Host, root: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    """Pack the service of a repository and build a release of it."""
    host.program("uv", f'exec {UV} --offline "$@"')  # itself, not the one that only notes what it is told
    packed = pack(str(root), "", "services/web")
    monkeypatch.setattr(source, "pack", lambda: (source.plan.stage / "source.tar.gz").write_bytes(packed.archive))
    python = str(Path(sys.executable).resolve())
    return source.make(folder=packed.folder, python=python)[0]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_service_of_a_monorepo_finds_its_sibling(
    layout: str, source: Build, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The import check of the build has imported it; the release has all it needs, whatever becomes of others."""
    lay_out(tmp_path, layout)
    before = build(source, host, tmp_path, monkeypatch)
    (tmp_path / "lib/src/lib/__init__.py").write_text("name = 'other'\n")
    release = build(source, host, tmp_path, monkeypatch)
    assert any(told.startswith("sync ") for told in host.told("uv")) == bool(LAYOUTS[layout][2])
    assert release.record["dependencies"] == before.record["dependencies"]  # its virtualenv began as a copy
    shutil.rmtree(tmp_path)
    shutil.rmtree(before.path)
    shutil.rmtree(release.home / "build")
    said = subprocess.run(
        [release.path / "bin/run", "python", "-c", "import main; print(main.app)"],
        cwd=release.path / "code",
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "other\n"
    assert (release.path / "code").resolve() == release.path / "tree/services/web"
    assert (release.path / "public/static/site.css").read_text() == "b {}\n"
    assert (release.path / "tree/lib/pyproject.toml").stat().st_uid == 0


def test_a_link_does_not_lead_out_of_the_source(source: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "web").symlink_to("/etc")
    (tmp_path / "main.py").touch()
    archive = pack(str(tmp_path)).archive
    monkeypatch.setattr(source, "pack", lambda: (source.plan.stage / "source.tar.gz").write_bytes(archive))
    assert source.failing(folder="web").startswith("app_source_path: 'web' is not a folder of the source")
