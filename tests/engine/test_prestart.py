"""What is done once for a release before it starts: migrations, prestart.sh, commands."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.flask.plugins.module_utils.engine import prestart
from ansible_collections.slipway.flask.plugins.module_utils.engine.errors import ReleaseError
from ansible_collections.slipway.flask.plugins.module_utils.engine.prestart import Work
from ansible_collections.slipway.flask.plugins.module_utils.engine.record import Release

from engine.host import NEW, USER, Host

WORK = Work(USER, {}, [], migrate=True, timeout=60)


@pytest.fixture
def release(host: Host) -> Release:
    """Return a release whose bin/run runs a command as it is."""
    built = host.release(NEW)
    (built.path / "bin/run").write_text('#!/bin/sh\nexec "$@"\n')
    (built.path / "bin/run").chmod(0o755)
    return built


@pytest.mark.parametrize(
    ("record", "work", "chosen"),
    [
        ({"schema": ["1a"]}, {}, ["flask db upgrade"]),
        ({"schema": ["1a"]}, {"migrate": False}, []),
        ({"schema": []}, {}, []),
        ({"schema": ["1a"]}, {"commands": ["true"]}, ["flask db upgrade", "true"]),
    ],
)
def test_migrations_come_first_where_the_release_has_some(
    release: Release, record: dict[str, Any], work: dict[str, Any], chosen: list[str]
) -> None:
    release.note(**record)
    assert [command for _, command in prestart.commands(release, WORK._replace(**work))] == chosen


def test_alembic_runs_its_own_migrations_and_the_application_s_script_comes_next(release: Release) -> None:
    release.note(schema=["1a", "1b"])
    (release.path / "code/alembic.ini").touch()
    (release.path / "code/prestart.sh").touch()
    chosen = prestart.commands(release, WORK._replace(commands=["flask sweep"]))
    assert chosen == [
        ("app_migrate", "alembic upgrade heads"),
        ("app_source", "sh prestart.sh"),
        ("app_prestart", "flask sweep"),
    ]


def test_each_command_runs_in_the_application_s_folder_and_what_it_prints_is_returned(release: Release) -> None:
    work = WORK._replace(commands=["pwd", "seq 50; echo $((1 + 1)) >&2"])
    where, printed = prestart.prestart(release, work)
    assert where == f"pwd:\n{release.path / 'code'}"
    assert printed.splitlines()[1:] == [*map(str, range(12, 51)), "2"]
    assert release.record["prestarted"]


def test_a_command_that_fails_ends_the_deploy_with_what_it_said(release: Release) -> None:
    work = WORK._replace(commands=["echo no database >&2; exit 3", "touch ran"])
    with pytest.raises(ReleaseError) as error:
        prestart.prestart(release, work)
    first, *rest = str(error.value).splitlines()
    assert first.startswith(
        "app_prestart: 'echo no database >&2; exit 3' ended with code 3; the release was not activated."
    )
    assert first.endswith(f"sudo -u {USER} {release.path}/bin/run COMMAND")
    assert rest == ["no database"]
    assert not (release.path / "code/ran").exists()
    assert release.record["state"] == "failed"
    assert "prestarted" not in release.record


def test_a_migration_that_fails_names_the_variable_that_leaves_it_out(release: Release, host: Host) -> None:
    host.program("flask", "echo no table >&2; exit 1")
    release.note(schema=["1a"])
    with pytest.raises(ReleaseError) as error:
        prestart.prestart(release, WORK)
    assert str(error.value).startswith(
        "app_migrate: 'flask db upgrade' ended with code 1; the release was not activated. Slipway found it in the source; "
        "with app_migrate: false it is not run. Fix the error below"
    )


def test_a_database_that_is_down_is_named(release: Release, tmp_path: Path) -> None:
    (release.path / "env").write_text(f"DATABASE_URL='postgresql:///site?host={tmp_path}'\n")
    with pytest.raises(ReleaseError) as error:
        prestart.prestart(release, WORK._replace(commands=["exit 1"]))
    assert f" The database does not answer at {tmp_path}/.s.PGSQL.5432 " in str(error.value).splitlines()[0]


def test_a_command_that_may_not_write_names_the_folder_to_share(release: Release) -> None:
    said = f"PermissionError: [Errno 13] Permission denied: '{release.path}/code/data/seed.db'"
    with pytest.raises(ReleaseError) as error:
        prestart.prestart(release, WORK._replace(commands=[f'echo "{said}"; exit 1']))
    assert str(error.value).endswith('Add "data" to them.')


def script(release: Release, *lines: str) -> str:
    """Run a prestart.sh; return what it printed."""
    (release.path / "code/prestart.sh").write_text("\n".join(lines) + "\n")
    (output,) = prestart.prestart(release, WORK)
    return output.removeprefix("sh prestart.sh:\n")


def exported(release: Release) -> str | None:
    """Return what is kept for the application."""
    path = release.path / "env.prestart"
    return path.read_text() if path.exists() else None


def test_what_the_script_exports_reaches_the_application(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAYS", "as it was")
    lines = ["cd /", "export KEY='a b'", "LINES='1\n2'", "export LINES STAYS", "own=1", "echo hello"]
    assert script(release, *lines, "exit 0", "export NEVER=1") == "hello"
    assert exported(release) == "KEY='a b'\nLINES='1\n2'\n"
    assert stat.S_IMODE((release.path / "env.prestart").stat().st_mode) == 0o640


def test_a_script_that_exports_nothing_leaves_nothing(release: Release) -> None:
    assert script(release, "true") == ""
    assert exported(release) is None


def test_a_script_that_becomes_another_program_has_exported_nothing(release: Release) -> None:
    assert script(release, "export KEY=1", "exec echo hello") == "hello"
    assert exported(release) is None


def test_a_script_ends_at_its_first_command_that_fails(release: Release) -> None:
    with pytest.raises(ReleaseError, match=r"'sh prestart.sh' ended with code 1; .*\nbefore\Z"):
        script(release, "export KEY=1", "echo before", "false", "echo after")
    assert exported(release) is None
