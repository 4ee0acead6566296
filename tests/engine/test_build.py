"""A release is built: what it is made of, whose it is, and what is said where it cannot be."""

from __future__ import annotations

import dataclasses
import io
import os
import stat
import sys
import tarfile
from pathlib import Path

import pytest
from ansible_collections.slipway.flask.plugins.module_utils.engine import build
from ansible_collections.slipway.flask.plugins.module_utils.engine.errors import FULL, ReleaseError
from ansible_collections.slipway.flask.plugins.module_utils.engine.plan import REQUIREMENTS, Plan
from ansible_collections.slipway.flask.plugins.module_utils.engine.record import Release

from engine.host import PLAN, Host
from plugin import ROOT

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
        for name in ("env", *REQUIREMENTS):
            (stage / name).write_text("")
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

    def make(self, **changed: object) -> tuple[Release, list[str]]:
        """Pack the source and build a release of it; return what is not published too."""
        plan: Plan = dataclasses.replace(self.plan, **changed)  # type: ignore[arg-type] # fields by name
        with tarfile.open(plan.stage / "source.tar.gz", "w:gz") as archive:
            for name, text in self.files.items():
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(text), 0o644
                archive.addfile(member, io.BytesIO(text.encode()))
        release = Release(plan.home, plan.id)
        return release, build.make(release, plan)

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


@pytest.fixture
def source(host: Host, accounts: dict[str, int]) -> Build:
    """Return an application that can be built."""
    return Build(host, accounts)


def test_a_release_is_the_source_the_programs_and_what_visitors_may_have(source: Build) -> None:
    release, refused = source.make()
    assert sorted(path.name for path in release.path.iterdir()) == sorted(
        [".venv", "bin", "code", "env", "public", "release.json", *REQUIREMENTS]
    )
    assert sorted(path.name for path in (release.path / "bin").iterdir()) == ["instance", "run"]
    assert (release.path / "public/static/site.css").read_text() == "b {}\n"
    assert refused == ["notes.md: of no kind that is published (app_static_kinds)"]
    record = release.record
    assert (record["state"], record["module"], record["source"], record["schema"]) == ("built", "main:app", "v1", [])


def test_a_finished_release_is_root_s_and_the_application_may_read_it(source: Build) -> None:
    release, _ = source.make()

    def about(name: str) -> tuple[int, int, str]:
        status = (release.path / name).stat()
        return status.st_uid, status.st_gid, stat.filemode(status.st_mode)

    assert about("code/main.py") == (0, source.site, "-rw-r-----")
    assert about("code") == (0, source.site, "drwxr-x---")
    assert about(".venv")[:2] == (0, source.site)
    assert about("public/static/site.css") == (0, 0, "-rw-r--r--")
    assert about("bin/run")[:2] == (0, source.site)
    assert about("env")[:2] == (0, source.site)


def test_what_is_shared_outlives_a_release(source: Build, host: Host) -> None:
    source.files["uploads/placeholder"] = ""
    release, _ = source.make(shared_dirs=["uploads", "data/cache"])
    for name in ("uploads", "data/cache"):
        assert (release.path / "code" / name).readlink() == host.home / "shared" / name
        assert (host.home / "shared" / name).stat().st_uid == source.site


@pytest.mark.parametrize("name", [".", "../other", "a/../../b", "/etc"])
def test_a_shared_folder_lies_below_the_application_s(name: str, tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    assert build.share(tmp_path / "code", name, tmp_path).startswith(f"app_shared_dirs: {name!r} does not lie below")


def test_a_link_of_the_source_leads_no_shared_folder_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code/up").symlink_to("..")
    assert build.share(tmp_path / "code", "up/data", tmp_path)
    (tmp_path / "code/data").symlink_to("..")
    assert build.share(tmp_path / "code", "data", tmp_path / "kept") == ""
    assert (tmp_path / "code/data").readlink() == tmp_path / "kept"


def test_a_shared_folder_that_cannot_be_made_is_named(source: Build, host: Host) -> None:
    (host.home / "shared/uploads").touch()
    said = source.failing(shared_dirs=["uploads"])
    assert said.startswith(f"app_shared_dirs: {host.home}/shared/uploads cannot be made: ")


def test_static_files_out_of_the_source_are_not_published(source: Build, tmp_path: Path) -> None:
    release = Release(source.plan.home, "0123456789ab")
    (release.path / "code").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/x.css").touch()
    assert build.publish_static(release, source.plan) == []
    (release.path / "code/static").symlink_to(tmp_path / "other")
    assert build.publish_static(release, source.plan) == []
    assert not (release.path / "public").exists()


def test_a_source_without_the_application_says_where_it_is_named(source: Build) -> None:
    source.files["main.py"] = "import nowhere\n"
    said = source.failing()
    assert said.startswith("app_module: 'main:app' does not import.")
    assert said.endswith("ModuleNotFoundError: No module named 'nowhere'")
    source.files["uwsgi.ini"] = "[uwsgi]\nmodule = site\n"
    assert source.failing(server="uwsgi").startswith("uwsgi.ini: 'site:application' does not import.")


def test_the_schema_is_the_heads_of_alembic_s_migrations_or_flask_migrate_s(source: Build, host: Host) -> None:
    """Read by Alembic itself, which the example application has."""
    host.program("python-with-alembic", f'exec {ROOT}/.venv-app/bin/python "$@"')
    host.program("uv", f"[ $1 != venv ] || install -D {host.programs}/python-with-alembic ../.venv/bin/python")
    for revision in ("1a", "2c", "2b"):
        below = "None" if revision == "1a" else "'1a'"
        source.files[f"migrations/versions/{revision}.py"] = f"revision = '{revision}'\ndown_revision = {below}\n"
    source.files["alembic.ini"] = "[alembic]\nscript_location = migrations\n"
    assert source.make()[0].record["schema"] == ["2b", "2c"]
    del source.files["migrations/versions/2b.py"], source.files["alembic.ini"]
    source.files["migrations/alembic.ini"] = "[alembic]\n"
    assert source.make()[0].record["schema"] == ["2c"]


def test_what_a_module_prints_is_no_schema(source: Build) -> None:
    source.files["main.py"] = "import atexit\napp = 1\nprint('hello')\n"
    source.make()
    source.files["main.py"] += "atexit.register(print, 'bye')\n"
    said = source.failing()
    assert said.startswith("app_module: 'main:app' printed something at its end that nobody asked for:\n")
    assert said.endswith("bye")


def test_limits_that_cannot_be_set_are_an_error(source: Build, host: Host) -> None:
    (host.home / "next/bin/instance").write_text("#!/bin/sh\necho 'Slice is bad.' >&2; exit 1\n")
    assert source.failing() == "The limits of the application could not be set: bin/instance limit: Slice is bad."


def test_an_archive_that_tar_cannot_read_is_the_source_s_fault(source: Build, host: Host) -> None:
    host.program("tar", "echo 'tar: This does not look like a tar archive' >&2; exit 2")
    assert source.failing() == "app_source: tar: This does not look like a tar archive"


@pytest.mark.parametrize("program", ["tar", "uv"])
def test_a_full_disk_is_said_as_such(source: Build, host: Host, program: str) -> None:
    host.program(program, f"echo '{program}: {FULL}' >&2; exit 2")
    assert source.failing().startswith(f"The disk of {host.home} is full; the active release was left as it is.")


def test_what_cannot_be_installed_is_said_with_uv_s_last_words(source: Build, host: Host) -> None:
    host.program("uv", f"{UV}\ncase $* in *default*) echo 'No solution found' >&2; exit 1 ;; esac")
    said = source.failing()
    assert said.startswith("app_default_requirements: what this file names could not be installed.")
    assert said.endswith("No solution found")
    source.files["pyproject.toml"] = "[project"
    assert source.failing().startswith("app_source: its pyproject.toml cannot be read: ")


def test_the_virtualenv_of_a_release_with_the_same_dependencies_is_copied(source: Build, host: Host) -> None:
    first, _ = source.make()
    installed = len(host.told("uv"))
    source.files["main.py"] = "app = 2\n"
    second, _ = source.make()
    assert [told.split()[0] for told in host.told("uv")[installed:]] == ["pip"]
    assert (second.path / ".venv/bin/python").is_symlink()
    assert second.record["dependencies"] == first.record["dependencies"]
    (host.home / "next/forced").write_text("a")
    third, _ = source.make()
    assert third.record["dependencies"] != first.record["dependencies"]
    assert host.told("uv")[-3].startswith("venv ")


def test_a_virtualenv_that_cannot_be_copied_fails_the_build(source: Build, host: Host) -> None:
    source.make()
    source.files["main.py"] = "app = 2\n"
    host.program("cp", f"echo 'cp: {FULL}' >&2; exit 1")
    assert source.failing().startswith("The disk of ")
    host.program("cp", "echo 'cp: cannot read' >&2; exit 1")
    assert source.failing() == "cp: cannot read"
