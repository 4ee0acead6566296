"""What a release is made of and how it is built, on one server without an edge.

It is the same whichever app server serves it: here Granian, which is the quickest to install.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from testinfra.host import Host

from applications import GOOD, Deploys, active, answer, record
from probe import ROOT


def test_the_same_input_is_the_same_release(host: Host, deploys: Deploys) -> None:
    assert deploys.run()[0] == 0  # a rollback leaves the input of the release before in its place
    before, pid = (
        active(host, "changing"),
        host.check_output("systemctl show -P MainPID changing@%s", active(host, "changing")),
    )
    deploys.write("PASSWORD=of-this-machine\n", ".env")
    code, output = deploys.run()
    assert (code, "changed=0" in output) == (0, True), output
    assert "app_source: left out .env. " in output
    assert active(host, "changing") == before
    assert host.check_output("systemctl show -P MainPID changing@%s", before) == pid


def test_a_changed_setting_is_a_new_release_without_what_another_app_server_left(host: Host, deploys: Deploys) -> None:
    """And the old setting is the release that was there before."""
    before = active(host, "changing")
    code, output = deploys.run(app_server="gunicorn")
    assert code == 0, output
    other = active(host, "changing")
    assert host.file(f"/srv/changing/releases/{other}/bin/gunicorn.conf.py").exists
    host.check_output("touch /srv/changing/next/bin/uwsgi.ini")
    # One setting of the app server; tests/engine/test_plan.py covers everything that a release is made of.
    code, output = deploys.run(granian_blocking_threads=3)
    assert code == 0, output
    changed = active(host, "changing")
    assert len({before, other, changed}) == 3
    left = {"gunicorn.conf.py", "uwsgi.ini"}
    assert left <= set(host.check_output("ls /srv/changing/next/bin").split())
    assert not left & set(host.check_output("ls /srv/changing/releases/%s/bin", changed).split())
    code, output = deploys.run()
    assert code == 0, output
    assert active(host, "changing") == before


WITH_A_PACKAGE_OF_ITS_OWN = """
import package
from flask import Flask
app = Flask(__name__)
@app.get("/")
def index():
    return {"version": package.VERSION}
"""


def test_packages_are_taken_from_a_release_with_the_same_dependencies_only(host: Host, deploys: Deploys) -> None:
    """And of five releases only so many are kept as app_releases_kept says."""
    backend = "[build-system]\nrequires = ['flit_core']\nbuild-backend = 'flit_core.buildapi'\n"
    (deploys.source / "package").mkdir()
    deploys.write(backend + "[project]\nname = 'package'\nversion = '1'\ndescription = ''\n", "package/pyproject.toml")
    deploys.write("flask\ntomli==2.0.1\n./package\n", "requirements.txt")
    deploys.write(WITH_A_PACKAGE_OF_ITS_OWN)
    mark = "/srv/changing/current/.venv/mark"

    def deployed(version: int, **variables: Any) -> None:
        deploys.write(f"VERSION = {version}\n", "package/package.py")
        code, output = deploys.run(app_releases_kept=2, **variables)
        assert code == 0, output
        assert answer(host, "changing") == {"version": version}

    deployed(1)
    first = active(host, "changing")
    host.check_output("touch %s", mark)
    deployed(2)  # of which no dependency file says anything
    assert host.file(mark).exists
    assert host.run("grep -rIl %s /srv/changing/current/.venv", first).stdout == "", "a program of another release's"
    deployed(3, app_release_force=True)
    assert not host.file(mark).exists
    host.check_output("touch %s.forced", mark)
    deployed(4)  # the packages of the forced build are kept
    assert (host.file(mark).exists, host.file(f"{mark}.forced").exists) == (False, True)
    deploys.write("flask\n./package\n", "requirements.txt")
    deployed(5)
    assert not host.file(f"{mark}.forced").exists
    assert host.run("ls -d /srv/changing/current/.venv/lib/*/site-packages/tomli").rc != 0
    kept = host.check_output("ls /srv/changing/releases").split()
    assert set(kept) == {active(host, "changing"), host.check_output("basename $(readlink /srv/changing/previous)")}


def test_a_package_with_another_hash_is_not_installed(host: Host, deploys: Deploys, tmp_path: Path) -> None:
    """Neither what only the app server needs, nor what an application without dependencies gets.

    Whatever the application's own files tell uv.
    """
    before, wrong = active(host, "changing"), tmp_path / "wrong.txt"
    override = "override-dependencies = ['click==8.1.8']"
    deploys.write(f"[tool.uv]\n{override}\n[tool.uv.pip]\nverify-hashes = false\n", "pyproject.toml")
    for variable, file, package in (
        ("granian_hashes", "granian/files/hashes.txt", "click"),
        ("app_default_requirements", "app/files/flask.txt", "markupsafe"),
    ):
        head, found, tail = re.split(
            rf"^({package}==.*(?:\n +--hash=.*)+)", (ROOT / "roles" / file).read_text(), flags=re.M
        )
        wrong.write_text(head + re.sub(r"(?<=sha256:).{8}", "00000000", found) + tail)
        code, output = deploys.run(**{variable: str(wrong)})
        assert code != 0, output
        assert f"{variable}: " in output
        assert f"Hash mismatch for `{package}==" in output or "Computed:" in output
        assert active(host, "changing") == before
        assert answer(host, "changing") == {"version": 1}


def test_uv_with_another_hash_is_not_installed(host: Host, deploys: Deploys, tmp_path: Path) -> None:
    (tmp_path / "uv.txt").write_text("uv==0.13.7 \\\n    --hash=sha256:" + 64 * "0" + "\n")
    code, output = deploys.run(app_name="wary", app_uv_version="0.13.7", app_uv_hashes=f"{tmp_path}/uv.txt")
    assert code != 0, output
    assert "app_uv_hashes: uv 0.13.7 could not be installed" in output
    assert not host.file("/opt/slipway/uv-0.13.7-hashed/bin/uv").exists


def test_changed_prestart_commands_are_a_new_release(host: Host, deploys: Deploys) -> None:
    before, sockets = active(host, "changing"), host.check_output("ls /run/changing/instances")
    code, output = deploys.run(app_prestart=["echo migrating", "echo 'column is missing' >&2; exit 7"])
    assert code != 0, output
    assert "app_prestart:" in output
    assert "column is missing" in output
    assert (active(host, "changing"), host.check_output("ls /run/changing/instances")) == (before, sockets)
    assert record(host, "changing", before)["state"] == "built"
    assert answer(host, "changing") == {"version": 1}
    by_hand = re.search(r"sudo -u changing (\S+/bin/run) COMMAND", output)
    assert by_hand, output
    assert host.check_output("runuser -u changing -- %s sh -c 'echo $APP_RELEASE'", by_hand[1]) in by_hand[1]
    code, output = deploys.run(app_prestart=["touch data/notes/migrated; echo $((40 + 2)) rows"])
    assert code == 0, output
    assert "42 rows" in output
    assert "app_source: found no uv.lock, pyproject.toml, requirements.txt or setup.py with dependencies" in output
    assert "secret_key is unset" in output
    assert active(host, "changing") != before
    assert host.file("/srv/changing/shared/data/notes/migrated").user == "changing"


def test_nothing_outside_the_source_is_published(host: Host, deploys: Deploys) -> None:
    host.check_output("mkdir -p /srv/changing/shared/static/uploads && chown -R changing: /srv/changing/shared/static")
    host.check_output("ln -sf /etc/shadow /srv/changing/shared/static/uploads/shadow")
    (deploys.source / "static").mkdir()
    (deploys.source / "static/passwd").symlink_to("/etc/passwd")
    (deploys.source / "static/site.css").write_text("b {}")
    code, output = deploys.run(app_shared_dirs=["data/notes", "static/uploads"])
    assert code == 0, output
    assert host.check_output("cd /srv/changing/current/public && find . ! -type d") == "./static/site.css"


def test_a_static_folder_that_leads_elsewhere_is_not_published(host: Host, deploys: Deploys) -> None:
    (deploys.source / "static").symlink_to("/etc")
    code, output = deploys.run()
    assert code == 0, output
    assert host.check_output("find /srv/changing/current/public -type f") == ""


def test_a_shared_folder_cannot_lead_out_of_the_release(host: Host, deploys: Deploys) -> None:
    host.check_output("mkdir -p /srv/outside/kept && touch /srv/outside/kept/file")
    (deploys.source / "way").symlink_to("/srv/outside")
    code, output = deploys.run(app_shared_dirs=["way/kept"])
    assert code != 0
    assert "app_shared_dirs: 'way/kept' is not below the application's folder" in output
    assert host.file("/srv/outside/kept/file").exists
    host.check_output("rm -r /srv/outside")


def test_a_prestart_command_that_takes_too_long_is_ended_with_all_it_started(host: Host, deploys: Deploys) -> None:
    # The last has left the command's session, and holds its output open. Both sleep for longer than the test takes.
    command = "sleep 1001 & setsid sleep 1002 & wait"
    code, output = deploys.run(app_prestart=[command], app_prestart_timeout_seconds=10)
    assert code != 0
    assert "stopped after 10 seconds" in output
    assert host.run("pgrep -f '[s]leep 100[12]'").stdout == ""


def test_a_dry_run_of_a_first_deploy_does_not_fail(host: Host, deploys: Deploys) -> None:
    code, output = deploys.run("--check", "--diff", app_name="newcomer")
    assert code == 0, output
    assert not host.file("/srv/newcomer").exists


def test_a_time_that_the_server_s_systemd_cannot_read_is_refused(deploys: Deploys) -> None:
    """What needs no server to be judged is in tests/test_preflight.py."""
    timers = [{"name": "tick", "command": "true", "on_calendar": "every now and then"}]
    code, output = deploys.run(preflight=True, app_timers=timers)
    assert code != 0
    assert "app_timers: timer 'tick' has on_calendar 'every now and then', which systemd does not understand." in output


def test_a_prestart_script_of_the_application_s_is_run(host: Host, deploys: Deploys) -> None:
    """What it exports reaches the application, as with the container images that know such a script."""
    script = (
        'echo script for $APP_RELEASE >> data/notes/prestart\nexport WORDS="it\'s $APP_NAME"\nNOT_EXPORTED=1\nexit 0\n'
    )
    deploys.write(script, "prestart.sh")
    deploys.write("import os\n" + GOOD.replace("VERSION", "(os.environ['WORDS'], 'NOT_EXPORTED' in os.environ)"))
    prestart = "echo command >> data/notes/prestart"
    code, output = deploys.run(app_prestart=[prestart])
    assert code == 0, output
    assert answer(host, "changing") == {"version": ["it's changing", False]}
    file = host.file("/srv/changing/current/env.prestart")
    assert (file.user, file.group, file.mode) == ("root", "changing", 0o640)
    lines = host.file("/srv/changing/shared/data/notes/prestart").content_string.splitlines()
    assert lines == [f"script for {active(host, 'changing')}", "command"]


# Of Flask 2.1, which has no `flask --app`. Migrations of Alembic alone are the example application's.
FLASK_MIGRATE = {
    "main.py": f"{GOOD}\nimport flask_migrate\nflask_migrate.Migrate().init_app(app)\n".replace("VERSION", "1"),
    "setup.py": (
        "import setuptools\nsetuptools.setup(name='site', version='1', py_modules=['main'], install_requires="
        "['flask==2.1.3', 'werkzeug==2.1.2', 'flask-migrate==4.0.7', 'alembic==1.16.5'])\n"
    ),
    "migrations/alembic.ini": "[alembic]\n",
    "migrations/env.py": "open('data/notes/migrated', 'a').write('by alembic')",
    "migrations/versions/one.py": "revision = 'abc1'\ndown_revision = None\n",
}


def test_migrations_are_found_and_run_and_their_head_is_recorded(host: Host, deploys: Deploys) -> None:
    (deploys.source / "migrations/versions").mkdir(parents=True)
    for name, text in FLASK_MIGRATE.items():
        deploys.write(text, name)
    code, output = deploys.run(app_name="migrating")
    assert code == 0, output
    assert record(host, "migrating", active(host, "migrating"))["schema"] == ["abc1"]
    assert host.file("/srv/migrating/shared/data/notes/migrated").content_string == "by alembic"
    host.check_output("rm /srv/migrating/shared/data/notes/migrated")
    assert deploys.run(app_name="migrating", app_migrate=False)[0] == 0
    assert not host.file("/srv/migrating/shared/data/notes/migrated").exists


EXTENSION = """
import setuptools
setuptools.setup(name="site", version="1", py_modules=["main"], ext_modules=[setuptools.Extension("fast", ["fast.c"])])
"""


def test_what_a_build_lacks_is_named_and_a_deploy_installs_packages(host: Host, deploys: Deploys) -> None:
    before = active(host, "changing")
    deploys.write(EXTENSION, "setup.py")
    deploys.write("#include <Python.h>\n", "fast.c")
    code, output = deploys.run()
    assert code != 0
    assert "app_packages: [build-essential, python3-dev]" in output
    (deploys.source / "setup.py").unlink()
    code, output = deploys.run(preflight=True, app_python="3.99", app_packages=["hello"])
    assert code != 0
    assert "app_python: uv cannot find Python '3.99' on the server" in output
    assert host.package("hello").is_installed
    assert active(host, "changing") == before


def test_a_release_can_be_built_again_and_stays(host: Host, deploys: Deploys) -> None:
    before = active(host, "changing")
    assert deploys.run(app_release_force=True)[0] == 0
    forced = active(host, "changing")
    assert forced != before
    code, output = deploys.run()
    assert (code, "changed=0" in output) == (0, True), output
    assert active(host, "changing") == forced
    host.check_output("rm /srv/changing/next/forced")
