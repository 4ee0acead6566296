"""Bad input: one clear message with cause, fix and the variable's name, and nothing changed on the server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from probe import ROOT, Site, administrator

ENVIRONMENTS = Path(__file__).parents[1] / "environments"
TRIXIE = Site(ENVIRONMENTS / "guestbook-trixie", "guestbook", "default-trixie")
# Logged in to as a user who may sudo.
BOOKWORM = Site(ENVIRONMENTS / "guestbook-bookworm", "guestbook", "default-bookworm")

testinfra_hosts = ["localhost"]

CHANGED = "find /etc /opt /srv /usr/local /var/lib/dpkg /run/guestbook -newer /run/before"


@pytest.fixture(autouse=True)
def nothing_changes() -> Iterator[None]:
    """Whatever the input was, no file of the server is newer than before."""
    host = TRIXIE.host
    host.check_output("touch /run/before")
    yield
    assert host.check_output(CHANGED) == ""
    assert TRIXIE.ask("/").status == 200


# Each is one run, and its complaints are all made at once. One of each kind that preflight has: single variables of an
# application are asked in tests/test_preflight.py.
@pytest.mark.parametrize(
    "complaints",
    [
        {"app_name": ("Guest Book", 'app_name: "Guest Book" cannot name an application')},
        {"app_name": ("video", 'app_name: "video" is taken on default-trixie (video:x:')},
        {"app_name": ("systemd", 'app_name: "systemd" is taken on default-trixie (/run/systemd)')},
        {"app_source": ("/no/such/folder", "app_source: the folder '/no/such/folder' does not exist")},
        {
            "app_disk_max": (
                "10G",
                "app_disk_max: the file system of /srv/guestbook/shared on default-trixie (overlay) is mounted",
            )
        },
        {
            "edge": (
                "lighttpd",
                'edge: "lighttpd" is not a web server that Slipway supports. Set it to nginx or apache.',
            )
        },
        {"app_server": ("mod_wsgi", "app_server: mod_wsgi is a module of Apache")},
        {
            "app_server": (
                "gunicron",
                'app_server: "gunicron" is not one that Slipway supports. Set it to gunicorn or uwsgi',
            )
        },
        {
            "app_health_timeout_seconds": ("soon", "app_health_timeout_seconds"),
            "app_env": (["A=1"], "app_env"),
            "gunicorn_log_level": ("loud", 'gunicorn_log_level: "loud" is not one of debug, info'),
            "app_modul": ("main:app", "app_modul: unknown variable; did you mean app_module?"),
            "app_domains": (
                "www.example.com",
                'app_domains: "www.example.com" is not a list. Write it as ["www.example.com"].',
            ),
            "nginx_listen": ({"port": 80}, "nginx_listen"),
            "edge_server_names": (["x.test"], "edge_server_names: Slipway sets it from other variables"),
            "postgresql_max_connections": ("many", "postgresql_max_connections"),
        },
        {
            "app_env": ({"A-B": "1"}, "app_env: A-B cannot name an environment variable"),
            "app_disk_max": ("lots", "app_disk_max: lots is not a size"),
            "app_static_url": ("/static", "app_static_url: /static is not a folder of the site"),
        },
    ],
    ids="-".join,
)
def test_variables_that_cannot_work_are_named(complaints: dict) -> None:
    code, output = TRIXIE.site_yml(**{name: value for name, (value, _) in complaints.items()})
    assert code != 0, output
    for _, message in complaints.values():
        assert message in output
    assert "Traceback" not in output
    assert "PLAY [Provision every host]" not in output, "it was found out only after preflight"


@pytest.mark.parametrize("variable", ["app_name", "app_source"])
def test_a_variable_that_is_missing_is_named(variable: str, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    (environment / "group_vars").mkdir(parents=True)
    for name in ("hosts.yml", "group_vars/all.yml"):
        text = (ENVIRONMENTS / "guestbook-trixie" / name).read_text()
        text = text.replace("{{ inventory_dir }}/../../../..", str(ROOT))
        kept = [line for line in text.splitlines() if not line.startswith(f"{variable}:")]
        (environment / name).write_text("\n".join(kept) + "\n")
    code, output = TRIXIE.site_yml(environment=environment)
    assert code != 0
    assert f"{variable}: " in output


UBUNTU = """NAME=Ubuntu
ID=ubuntu
ID_LIKE=debian
VERSION_ID=24.04
VERSION_CODENAME=noble
PRETTY_NAME="Ubuntu 24.04 LTS"
"""


def test_an_unsupported_distribution_is_refused() -> None:
    host = administrator("default-trixie")
    host.check_output("cp -a /usr/lib/os-release /run/os-release.kept")
    try:
        host.check_output("printf %s > /usr/lib/os-release", UBUNTU)
        code, output = TRIXIE.site_yml()
    finally:
        host.check_output("cp -a /run/os-release.kept /usr/lib/os-release")
    assert code != 0
    assert "default-trixie runs Ubuntu 24.04. Slipway is made and tested for Debian 12 and 13" in output


def test_a_server_without_python_is_refused() -> None:
    host = administrator("default-trixie")
    host.check_output("mv /usr/bin/python3 /usr/bin/python3.kept")
    try:
        code, output = TRIXIE.site_yml()
    finally:
        host.check_output("mv /usr/bin/python3.kept /usr/bin/python3")
    assert code != 0
    assert "ansible_python_interpreter: default-trixie has no program /usr/bin/python3" in output
    assert "apt-get install python3" in output


def test_a_password_that_sudo_wants_is_asked_for(tmp_path: Path) -> None:
    """What the message recommends is enough; the file is what --ask-become-pass would have typed."""
    password = tmp_path / "password"
    password.write_text("s3cret\n")
    # The last rule that fits counts.
    BOOKWORM.host.check_output("echo deploy:s3cret | chpasswd && echo 'deploy ALL=(ALL) ALL' > /etc/sudoers.d/password")
    try:
        without, said = BOOKWORM.playbook("preflight")
        with_password, output = BOOKWORM.playbook("preflight", f"--become-password-file={password}")
    finally:
        user = administrator("default-bookworm", sudo=False)
        user.check_output("echo s3cret | sudo --stdin --prompt= rm /etc/sudoers.d/password")
    assert without != 0
    assert "sudo on default-bookworm wants a password, and has none or a wrong one. Add --ask-become-pass" in said
    assert with_password == 0, output


def test_a_site_that_only_redirects_is_not_an_application_as_well() -> None:
    code, output = TRIXIE.site_yml(edge_redirect_to="https://new.test")
    assert code != 0
    assert (
        "edge_redirect_to: a site that only redirects has hosts in the group edge of hosts.yml, and none in app"
        in output
    )
    assert "PLAY [Provision every host]" not in output


def test_a_site_that_only_redirects_does_not_take_the_place_of_an_application(tmp_path: Path) -> None:
    """Which would go on running, with its workers and timers."""
    hosts = (ENVIRONMENTS / "guestbook-trixie/hosts.yml").read_text()
    hosts = re.sub(r"^ +(app|db): .*\n", "", hosts, flags=re.MULTILINE)
    (tmp_path / "hosts.yml").write_text(hosts.replace("{{ inventory_dir }}/../../../..", str(ROOT)))
    code, output = TRIXIE.site_yml(
        environment=tmp_path, app_name="guestbook", app_domains=["old.test"], edge_redirect_to="https://new.test"
    )
    assert code != 0
    assert "edge_redirect_to: default-trixie still has the application guestbook (/srv/guestbook)." in output


def test_groups_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    hosts = (
        (ENVIRONMENTS / "guestbook-trixie/hosts.yml")
        .read_text()
        .replace("edge: {hosts: {default-trixie: }}", "edge: {hosts: {other: }}")
    )
    hosts = hosts.replace("{{ inventory_dir }}/../../../..", str(ROOT))
    (tmp_path / "hosts.yml").write_text(hosts)
    code, output = TRIXIE.site_yml(
        "--limit=default-trixie",
        environment=tmp_path,
        app_name="guestbook",
        app_source=str(ROOT / "app"),
    )
    assert code != 0
    assert "hosts.yml: the group app needs a host" in output
