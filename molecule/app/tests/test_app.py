"""What the app role promises, asked of seven kinds of application on a running server."""

from __future__ import annotations

import re

import pytest
from testinfra.host import Host

from applications import active, answer, ask, record
from probe import until

APPLICATIONS = ["bare", "pinned", "packaged", "ported", "locked", "fetched", "private"]


def installed(host: Host, application: str) -> list[str]:
    """Return the packages in a release's virtualenv, each as name==version."""
    list_ = "from importlib.metadata import distributions as d; print(*(f'{x.name}=={x.version}'.lower() for x in d()))"
    return str(host.check_output("/srv/%s/current/.venv/bin/python -c %s", application, list_)).split()


@pytest.mark.after_reboot
@pytest.mark.parametrize("application", APPLICATIONS)
def test_each_kind_of_application_answers_on_its_socket(host: Host, application: str) -> None:
    until(lambda: ask(host, application)[0] == 200, f"{application} answers")


@pytest.mark.after_reboot
@pytest.mark.parametrize("application", APPLICATIONS)
def test_one_instance_runs_and_it_is_the_active_release(host: Host, application: str) -> None:
    units = host.check_output("systemctl list-units --plain --no-legend '%s@*'", application)
    assert [line.split()[0] for line in units.splitlines()] == [f"{application}@{active(host, application)}.service"]
    assert host.check_output("readlink /run/%s/app.sock", application) == f"instances/{active(host, application)}.sock"


def test_limits_hold_from_the_first_deploy(host: Host) -> None:
    """Asked of the application that was deployed last: a deploy has systemd read all units again, also those of others."""
    shown = host.check_output("systemctl show --property=TasksMax,MemoryMax %s.slice", APPLICATIONS[-1])
    assert "TasksMax=2048" in shown
    assert "MemoryMax=infinity" not in shown


def test_an_application_without_a_dependency_file_gets_flask(host: Host) -> None:
    assert host.run("/srv/bare/current/.venv/bin/python -c 'import flask'").rc == 0


def test_the_app_server_of_the_kit_wins_over_the_application_s(host: Host) -> None:
    assert answer(host, "pinned") == {"bottle": "0.13.4", "gunicorn": "27.0.1"}


def test_a_lock_file_is_obeyed(host: Host) -> None:
    """Also in what the app server needs (click), but for the app server itself."""
    versions = answer(host, "locked")
    assert versions["itsdangerous"].startswith("2.1.")
    assert versions["click"].startswith("8.1.")
    assert versions["granian"] == "2.8.7"


def test_a_service_of_a_monorepo_has_the_library_that_is_next_to_it(host: Host) -> None:
    assert answer(host, "locked")["library"] == "1.0"
    assert host.check_output("readlink /srv/locked/current/code") == "tree/services/web"
    assert host.run("runuser -u nobody -- cat /srv/locked/current/tree/library/pyproject.toml").rc != 0


def test_a_large_source_comes_whole(host: Host) -> None:
    assert host.file("/srv/locked/current/code/model.bin").size == 3 << 20


@pytest.mark.parametrize("application", ["bare", "fetched"])
def test_where_the_source_names_no_dependency_everything_is_pinned_with_hashes(host: Host, application: str) -> None:
    files = f"/srv/{application}/current/hashes.txt /srv/{application}/current/default_requirements.txt"
    pinned = host.check_output(
        f"grep --no-filename --only-matching '^[a-z0-9-]*==[^ ]*' {files} | sort --unique"
    ).split()
    assert {"click", "flask"} < {pin.partition("==")[0] for pin in pinned}
    assert sorted(installed(host, application)) == pinned


@pytest.mark.parametrize("application", ["packaged", "ported"])
def test_a_poetry_project_has_the_versions_that_its_pyproject_toml_allows(host: Host, application: str) -> None:
    """As a package, and as one in name only. Flask 3.0.0 is in the poetry.lock of the first, which is not read."""
    versions = dict(pin.split("==") for pin in installed(host, application))
    assert re.fullmatch(r"3\.0\.[1-9][0-9]*", versions["flask"])
    assert "pytest" not in versions


def test_private_packages_are_installed_and_further_ones_than_the_application_names(host: Host) -> None:
    """With a token for their index, and with a key for their repository over SSH."""
    assert answer(host, "private") == {"closed": "1.0", "hidden": "1.0", "tabulate": "0.9.0"}


def test_assets_that_the_build_makes_with_node_are_published(host: Host) -> None:
    """Compressed, as others are; and the release does not contain Node."""
    public = host.check_output("cd /srv/private/current/public/static && ls").split()
    assert {"app.js", "app.js.gz"} <= set(public)
    # A bundler with as many workers as there are CPUs needs to see some, and Debian's npm 9 as well.
    made = host.file("/srv/private/current/public/static/app.js").content_string
    assert re.match(r'console\.log\("v24\.[0-9.]+, [1-9][0-9]* CPUs"', made)
    assert host.run("find /srv/private/current/ -name node -o -name 'nodejs*'").stdout == ""


def test_the_build_s_token_and_key_are_root_s_and_nowhere_else(host: Host) -> None:
    for name in "build_env", "build_deploy_key":
        file = host.file(f"/srv/private/next/{name}")
        assert (file.user, file.mode) == ("root", 0o600)
    key = host.file("/srv/private/next/build_deploy_key").content_string.splitlines()[2]
    # Patterns that do not find the tests' own commands.
    for secret in "t0ken[-]of-the-index", f"[{key[0]}]{re.escape(key[1:])}":
        assert (
            host.run(
                "grep -rlE -e %s /srv/private/releases /srv/private/build /srv/private/shared /run /tmp", secret
            ).stdout
            == ""
        )
        assert host.run("journalctl --quiet --grep=%s", secret).stdout == ""


def test_a_factory_with_arguments_and_a_src_layout_work(host: Host) -> None:
    said_ = answer(host, "packaged")
    assert said_["greeting"] == "good morning"
    assert said_["file"].startswith(f"/srv/packaged/releases/{active(host, 'packaged')}/code/src/")


def test_an_uwsgi_ini_names_the_application_where_uwsgi_serves_it(host: Host) -> None:
    """The application lacks main:app, the default of app_module."""
    assert answer(host, "ported") == {"uwsgi": True}
    assert record(host, "ported", active(host, "ported"))["module"] == "app.main:app"


def test_git_brings_the_ref_and_the_subfolder(host: Host) -> None:
    assert answer(host, "fetched")["name"] == "fetched"
    assert host.file("/srv/fetched/current/code/main.py").exists
    assert not host.file("/srv/fetched/current/code/.git").exists


@pytest.mark.after_reboot
def test_settings_reach_the_application_whatever_is_in_them(host: Host) -> None:
    assert answer(host, "bare")["greeting"] == 'it\'s a "test" $HOME\nand a second line'


def test_settings_can_be_read_by_the_application_alone(host: Host) -> None:
    for name in ("next/env", "current/env", "secret_key"):
        file = host.file(f"/srv/bare/{name}")
        assert (file.user, file.group, file.mode) == ("root", "bare", 0o640)
    assert host.run("runuser -u nobody -- cat /srv/bare/current/env").rc != 0
    assert host.run("runuser -u pinned -- cat /srv/bare/current/env").rc != 0
    assert host.run("journalctl --quiet --grep='and a second [l]ine'").stdout == ""


def test_each_application_has_a_secret_key_of_its_own(host: Host) -> None:
    keys = {host.file(f"/srv/{application}/secret_key").content_string for application in APPLICATIONS}
    assert len(keys) == len(APPLICATIONS)
    assert answer(host, "bare")["secret_key_bytes"] == 44  # 256 bits in base64
    ask_both = """sh -c 'test "$FLASK_SECRET_KEY" = "$SECRET_KEY"'"""
    assert host.run(f"runuser -u bare -- /srv/bare/current/bin/run {ask_both}").succeeded


def test_a_release_cannot_be_changed_by_its_application(host: Host) -> None:
    writable = "runuser -u bare -- find /srv/bare/releases /srv/bare/next /srv/bare/current/ -writable ! -type l"
    assert host.run(writable).stdout == ""


def test_code_is_for_its_application_alone_and_static_files_are_for_all(host: Host) -> None:
    assert host.run("runuser -u nobody -- cat /srv/pinned/current/code/application.py").rc != 0
    assert host.run("runuser -u nobody -- cat /srv/pinned/current/public/static/site.css").rc == 0


def test_static_files_are_published_with_a_twin_where_that_pays(host: Host) -> None:
    public = host.check_output("cd /srv/pinned/current/public && find . -type f | sort").split()
    assert public == ["./static/site.css", "./static/site.css.gz", "./static/tiny.css"]
    assert host.run("cd /srv/pinned/current/public/static && zcat site.css.gz | cmp - site.css").rc == 0


@pytest.mark.after_reboot
def test_what_the_application_writes_outlives_its_release(host: Host) -> None:
    assert ask(host, "bare", "/notes/kept", "PUT", "words")[0] == 201
    assert host.file("/srv/bare/shared/.data/notes/kept").content_string == "words"


def test_a_command_can_be_run_as_the_application(host: Host) -> None:
    command = "runuser -u bare -- /srv/bare/current/bin/run sh -c 'echo $APP_NAME $APP_RELEASE; command -v flask; pwd'"
    name, flask, folder = host.check_output(command).splitlines()
    assert name == f"bare {active(host, 'bare')}"
    assert flask == f"/srv/bare/releases/{active(host, 'bare')}/.venv/bin/flask"
    assert folder == f"/srv/bare/releases/{active(host, 'bare')}/code"


@pytest.mark.parametrize("application", ["bare", "packaged", "ported"])
def test_the_command_flask_finds_the_application(host: Host, application: str) -> None:
    """Whatever version of Flask it is, as none needs --app."""
    routes = host.check_output(f"runuser -u {application} -- /srv/{application}/current/bin/run flask routes")
    assert re.search(r" /\s*$", routes, re.M), routes
