"""A release is built: what it is made of, whose it is, and what is said where it cannot be."""

from __future__ import annotations

import dataclasses
import errno
import shutil
import stat
from pathlib import Path

import pytest
from ansible_collections.slipway.flask.plugins.module_utils.engine import build
from ansible_collections.slipway.flask.plugins.module_utils.engine.errors import FULL
from ansible_collections.slipway.flask.plugins.module_utils.engine.lock import Deploy
from ansible_collections.slipway.flask.plugins.module_utils.engine.plan import REQUIREMENTS
from ansible_collections.slipway.flask.plugins.module_utils.engine.record import Release
from ansible_collections.slipway.flask.plugins.modules import release_build

from engine.builds import UV, Build
from engine.host import Host, RunModule
from plugin import ROOT


def test_a_release_is_the_source_the_programs_and_what_visitors_may_have(source: Build) -> None:
    release, refused = source.make()
    assert sorted(path.name for path in release.path.iterdir()) == sorted(
        [".venv", "bin", "code", "env", "public", "release.json", *REQUIREMENTS]
    )
    assert sorted(path.name for path in (release.path / "bin").iterdir()) == ["instance", "run"]
    assert (release.path / "public/static/site.css").read_text() == "b {}\n"
    assert refused == ["notes.md: of no kind that is published (app_static_kinds)"]
    assert "installed only what app_default_requirements names" in source.note
    record = release.record
    assert (record["state"], record["module"], record["source"], record["schema"]) == ("built", "main:app", "v1", [])


def test_what_clients_look_for_at_the_root_of_a_site_is_not_published_below_it(source: Build) -> None:
    source.files["static/.well-known/site.css"] = ""
    release, refused = source.make()
    assert ".well-known: hidden" in refused
    assert not (release.path / "public/static/.well-known").exists()


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
    assert build.share(tmp_path / "code", name, tmp_path).startswith(f"app_shared_dirs: {name!r} is not below")


def test_a_link_of_the_source_leads_no_shared_folder_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code/up").symlink_to("..")
    assert build.share(tmp_path / "code", "up/data", tmp_path)
    (tmp_path / "code/data").symlink_to("..")
    assert build.share(tmp_path / "code", "data", tmp_path / "kept") == ""
    assert (tmp_path / "code/data").readlink() == tmp_path / "kept"


def test_a_shared_folder_that_cannot_be_made_is_named(source: Build, host: Host) -> None:
    (host.home / "shared/uploads").touch()
    assert source.failing(shared_dirs=["uploads"]).startswith("app_shared_dirs: 'uploads' cannot be shared: ")
    source.files["data"] = "a file"
    assert source.failing(shared_dirs=["data/cache"]).startswith("app_shared_dirs: 'data/cache' cannot be shared: ")


def test_a_database_that_is_down_is_named_where_the_application_asks_it_when_imported(
    source: Build, host: Host
) -> None:
    source.files["main.py"] = "raise OSError('no database')\n"
    (host.home / "next/env").write_text(f"DATABASE_URL='postgresql:///site?host={host.folder}'\n")
    assert f" The database does not answer at {host.folder}/.s.PGSQL.5432 " in source.failing().splitlines()[0]


@pytest.mark.parametrize(
    ("named", "said"),
    [
        (
            "dist",
            [
                "app_static_dir: the release has no folder 'dist', so no static files are published. Set it to a folder of the source, "
                "or have app_build make this one."
            ],
        ),
        ("static", []),
    ],
)
def test_a_static_folder_that_the_user_named_and_no_release_has_is_said(
    source: Build, named: str, said: list[str]
) -> None:
    source.files = {"main.py": "app = 1\n"}
    assert source.make(static_dir=named)[1] == said


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
    assert said.startswith("app_module: 'main:app' cannot be imported.")
    assert said.endswith("ModuleNotFoundError: No module named 'nowhere'")
    source.files["uwsgi.ini"] = "[uwsgi]\nmodule = site\n"
    assert " app_source: its uwsgi.ini is not read under gunicorn. " in source.failing().splitlines()[0]
    assert source.failing(server="uwsgi").startswith("uwsgi.ini: 'site:application' cannot be imported.")


def test_a_module_that_starts_a_server_is_told_where_to_put_that(source: Build, host: Host) -> None:
    """With Flask itself, which the example application has; of others all that is known is that they do not return."""
    host.program("python-with-flask", f'exec {ROOT}/.venv-app/bin/python "$@"')
    host.program("uv", f"[ $1 != venv ] || install -D {host.programs}/python-with-flask ../.venv/bin/python")
    source.files["main.py"] = "from flask import Flask\napp = Flask(__name__)\napp.run(port=0)\n"
    said = source.failing()
    assert said.startswith("app_module: 'main:app' cannot be imported.")
    assert "main.py, line 3: app.run() starts a server as soon as the module is imported." in said
    assert said.endswith('if __name__ == "__main__":')
    source.files["main.py"] = "while True:\n    print(65536 * '.')\n"
    assert source.failing().endswith('put that below this line: if __name__ == "__main__":')


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


def test_the_command_flask_knows_what_is_served_and_a_setting_of_the_user_s_wins(source: Build, host: Host) -> None:
    (host.home / "next/env").write_text("FLASK_APP=own.py\n")
    source.files["uwsgi.ini"] = "[uwsgi]\nmodule = main\ncallable = app\n"
    assert (
        source.make(module="main:app(1)")[0].path / "env"
    ).read_text() == "FLASK_APP='main:app(1)'\nFLASK_APP=own.py\n"
    assert (source.make(server="uwsgi")[0].path / "env").read_text().startswith("FLASK_APP=main:app\n")


def test_a_module_that_writes_where_it_may_not_names_the_folder_to_share(source: Build) -> None:
    source.files["main.py"] = "raise OSError(30, 'Read-only file system', 'instance')\n"
    assert source.failing().endswith('Add "instance" to them.')


def test_what_a_module_prints_is_no_schema(source: Build) -> None:
    source.files["main.py"] = "import atexit\napp = 1\nprint('hello')\n"
    source.make()
    source.files["main.py"] += "atexit.register(print, 'bye')\n"
    said = source.failing()
    assert said.startswith("app_module: 'main:app' printed unexpected output when it was imported:\n")
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


def test_a_disk_that_is_full_for_the_kit_itself_is_said_as_such(
    source: Build, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copy(*_: object) -> None:
        raise OSError(errno.ENOSPC, FULL)

    monkeypatch.setattr(shutil, "copy2", copy)
    assert source.failing().startswith(f"The disk of {host.home} is full;")


def test_an_error_that_nobody_thought_of_leaves_no_half_of_a_release(source: Build, host: Host) -> None:
    (host.home / "next/hashes.txt").unlink()
    assert source.failing().startswith("FileNotFoundError: ")


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


def test_what_was_built_is_not_built_again_unless_one_insists(source: Build, host: Host, run_module: RunModule) -> None:
    Deploy(host.home, "a").ask({"who": "ada"})
    plan = dataclasses.asdict(source.plan)
    arguments = {"home": plan.pop("home"), "plan": plan, "lock": "a"}
    assert run_module(release_build.main, check=True, **{**arguments, "home": "/nonexistent"})["changed"] is True
    source.pack()
    dry = run_module(release_build.main, check=True, **arguments)
    built = run_module(release_build.main, **arguments)
    again = run_module(release_build.main, **arguments)
    forced = run_module(release_build.main, **{**arguments, "plan": {**plan, "force": True}})
    assert [one["changed"] for one in (dry, built, again, forced)] == [True, True, False, True]
    assert dry["id"] == built["id"] == again["id"] != forced["id"]
    assert built["not_published"] == ["notes.md: of no kind that is published (app_static_kinds)"]
    assert Deploy(host.home, "a").holder["step"] == "build"


def test_files_that_two_releases_have_alike_are_kept_once(source: Build, host: Host) -> None:
    """Of Python's own only those with the same time, which byte code names; and none that the release before has elsewhere."""
    host.program("uv", f"{UV}\ncase $* in venv*) mkdir ../.venv/lib; echo library > ../.venv/lib/large.so ;; esac")
    # A name as long as a file may have, and those of a temporary file.
    names = ["x" * 255, "model.bin", ".model.bin.next", ".shared.next"]
    source.files |= {
        "notes.txt": "one",
        "linked/model.bin": "large",
        **dict.fromkeys(names, "large"),
        "static/site.css": "a",
    }
    first, _ = source.make()
    (host.home / "current").symlink_to(f"releases/{first.id}")
    source.files |= {"notes.txt": "two", "main.py": "app = 1\n"}
    second, _ = source.make()

    def is_kept_once(name: str) -> bool:
        return (first.path / name).stat().st_ino == (second.path / name).stat().st_ino

    assert is_kept_once(".venv/lib/large.so")
    assert is_kept_once("public/static/site.css")  # with its time, by which a browser knows it again
    assert [name for name in names if not is_kept_once(f"code/{name}")] == []
    assert not is_kept_once("code/notes.txt")
    assert not is_kept_once("code/main.py")
    assert (second.path / "code/notes.txt").read_text() == "two"

    # A link in the release before, which its build's user may have put there, leads nowhere.
    (host.home / "elsewhere").mkdir()
    (second.path / "code/linked/model.bin").rename(host.home / "elsewhere/model.bin")
    (second.path / "code/linked").rmdir()
    (second.path / "code/linked").symlink_to(host.home / "elsewhere")
    (host.home / "current").unlink()
    (host.home / "current").symlink_to(f"releases/{second.id}")
    source.files["notes.txt"] = "three"
    third, _ = source.make()
    assert (third.path / "code/linked/model.bin").stat().st_nlink == 1


def test_what_app_requirements_names_is_installed_last(source: Build, host: Host) -> None:
    source.files["requirements.txt"] = "flask\n"
    source.make()
    without = [told.split()[-1] for told in host.told("uv")]
    (host.home / "next/app_requirements.txt").write_text("psycopg2-binary\n")
    source.make()
    told = [told.split()[-1] for told in host.told("uv")][len(without) :]
    assert told == [*without, "../app_requirements.txt"]
