"""What playbooks decide and refuse, by what an inventory says and preflight has found: the protocol of the edge, who opens a socket
for it, whether the site is asked over HTTPS, whether Postfix may be there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from plugin import ROOT

LOADER = DataLoader()
HTTP = ["application"]
BOTH = ["application", "release-speaks-uwsgi"]
UWSGI = {"app_server": "uwsgi", "edge_upstream_protocol": "uwsgi"}
MAIL = {"mail_relay_host": "smtp.test", "mail_relay_sender": "noreply@site.test"}
POSTFIX = ["/usr/sbin/postfix", "/usr/sbin/sendmail"]
EDGE_DONE = {"edge_configuration": {"changed": True}}  # site.yml has configured the edge

# What an inventory says, what preflight has found on the server, and what the edge speaks then.
CASES: dict[str, tuple[dict[str, Any], list[str], str]] = {
    "the default": ({}, HTTP, "http"),
    "the first of all": (UWSGI, [], "uwsgi"),
    "the first of all failed": (UWSGI, ["edge-speaks-uwsgi"], "uwsgi"),
    "to uwsgi": (UWSGI, HTTP, "http"),
    "changed, and a playbook goes on": ({**UWSGI, "goes_on": True}, HTTP, "uwsgi"),
    "once more": (UWSGI, [*BOTH, "edge-speaks-uwsgi"], "uwsgi"),
    "cut off": (UWSGI, BOTH, "uwsgi"),
    "to http": ({"app_server": "uwsgi", **EDGE_DONE}, [*BOTH, "edge-speaks-uwsgi"], "http"),
    "away": ({"app_server": "gunicorn", **EDGE_DONE}, [*BOTH, "edge-speaks-uwsgi"], "http"),
    "no edge": (UWSGI, HTTP, "http"),
    "the mail relay is there": (MAIL, [*HTTP, *POSTFIX, "/etc/slipway/mail_relay/site"], "http"),
}
# What an inventory says, and what the role certificates has returned in this run; whether the site may be asked over HTTPS.
ACME = {"edge_tls": "acme", "app_domains": ["book.example.org", "www.book.example.org"]}
HTTPS: dict[str, tuple[dict[str, Any], list[str] | None, bool]] = {
    "deploy.yml": (ACME, None, True),
    "deploy.yml without HTTPS": ({**ACME, "edge_tls": "off"}, None, False),
    "no certificate yet": (ACME, [], False),
    "one for another name": (ACME, ["www.book.example.org"], False),
    "one for the name": (ACME, ["book.example.org"], True),
    "one for the canonical name": (
        {**ACME, "edge_canonical_host": "www.book.example.org"},
        ["www.book.example.org"],
        True,
    ),
}
REFUSED = {
    "deploy.yml to http": (
        {"app_server": "uwsgi"},
        [*BOTH, "edge-speaks-uwsgi"],
        "edge_upstream_protocol: it is http, but the edge of deploy.yml to http speaks uwsgi to the application.",
    ),
    "Apache": (
        {**UWSGI, "edge": "apache"},
        [],
        "edge_upstream_protocol: uwsgi is what nginx can speak to uWSGI. Set edge to nginx (now apache) and app_server to uwsgi (now uwsgi)",
    ),
    "gunicorn": ({**UWSGI, "app_server": "gunicorn"}, [], "and app_server to uwsgi (now gunicorn); or take"),
    "no mail server": ({"mail_relay_user": "me"}, [], "mail_relay_host: it is empty, so nothing uses mail_relay_user."),
    "exim": (MAIL, ["/usr/sbin/sendmail"], "mail_relay_host: exim has another mail server (/usr/sbin"),
    "deploy.yml without a relay": (
        MAIL,
        POSTFIX,
        "mail_relay_host: deploy.yml without a relay has no mail relay for site yet.",
    ),
    "purge.yml": ({"edge": "apache"}, [], "edge: apache keeps no pages, so there is nothing to remove."),
    "mod_wsgi": ({"app_server": "mod_wsgi"}, [], "app_server: mod_wsgi is a module of Apache, made for Debian's own"),
}


MAIL_COMPLAINTS = "query('slipway.flask.complaints', 'mail_relay')"


def templated(text: str, known: dict[str, Any]) -> Any:
    """Return a text with its variables filled in."""
    return Templar(loader=LOADER, variables=known).template(trust_as_template(text))


def play_of(playbook: str, name: str) -> dict[str, Any]:
    """Return a play of a playbook."""
    (play,) = (play for play in yaml.safe_load((ROOT / "playbooks" / playbook).read_text()) if play["name"] == name)
    return dict(play)


def task_of(tasks: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Return a task, to be asked of each host."""
    (task,) = (task for task in tasks if task["name"] == name)
    return {key: value for key, value in task.items() if key != "run_once"}


def tasks_of_run(folder: Path, playbook: str, **variables: str) -> list[dict[str, Any]]:
    """Run a playbook of a folder on the hosts in hosts.json there; return its first play's tasks with what they returned.

    variables: of the environment.
    """
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
        **variables,
    }
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    argv = [program, f"--inventory={folder}/hosts.json", f"{folder}/{playbook}"]
    done = subprocess.run(argv, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("{"), done.stdout + done.stderr
    return list(json.loads(done.stdout)["plays"][0]["tasks"])


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """Return what the playbooks' own tasks say of each case, which is a host of one run."""
    folder = tmp_path_factory.mktemp("protocol") / "ansible_collections/slipway/flask"
    for part in ("playbooks", "plugins", "roles", "templates", "meta"):
        shutil.copytree(ROOT / part, folder / part)
    cases = {name: case[:2] for name, case in (CASES | REFUSED).items()}
    hosts = {name: {**told, "app_found": {"stdout_lines": found}} for name, (told, found) in cases.items()}
    for name, (told, names, _) in HTTPS.items():
        result = {} if names is None else {"certificates_result": {"stdout": json.dumps({"names": names})}}
        hosts[name] = {**told, **result, "app_found": {"stdout_lines": HTTP}}
    here = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "app_name": "site",
        "app_env": {"SECRET_KEY": "shared"},
        "_domain_names": {"skipped": True},  # is not below another site
    }
    groups = {"app": {"hosts": hosts}, "edge": {"hosts": dict.fromkeys(set(hosts) - {"no edge"})}, "db": {}}
    (folder / "hosts.json").write_text(json.dumps({**groups, "all": {"vars": here}}))
    deploy, change = (
        play_of("release.yml", "Deploy the application"),
        play_of("protocol.yml", "Have the edge speak uwsgi"),
    )
    (request,) = yaml.safe_load((ROOT / "playbooks/tasks/edge_answers.yml").read_text())
    asked = request["slipway.flask.edge_request"]
    known = "{{ [edge_upstream_protocol_now, edge_upstream_socket, uwsgi_protocol_socket, tls_address, release_is_live, _edge_called] }}"
    preflight = play_of("preflight.yml", "Check before anything is changed")["tasks"]
    tasks = [
        task_of(preflight, "Check what the inventory chooses, and its groups"),
        {"ansible.builtin.fail": {"msg": f"{{{{ {MAIL_COMPLAINTS} | join }}}}"}, "when": f"{MAIL_COMPLAINTS} != []"},
        task_of(preflight, "Check that the site fits its hosts, and what they have"),
        task_of(play_of("purge.yml", "Empty the cache")["tasks"], "Check that the edge has a cache"),
        task_of(deploy["pre_tasks"], "Check that what the release needs is there"),
        {**task_of(change["tasks"], "Record that the running release speaks uwsgi"), "when": "goes_on is defined"},
        {
            "ansible.builtin.debug": {"msg": known},
            "vars": {**request["vars"], **{name: asked[name] for name in ("tls_address", "release_is_live")}},
        },
        task_of(change["pre_tasks"], "End the play where the edge speaks what it is to speak"),
        task_of(change["tasks"], "Check that the release listens for uwsgi"),
    ]
    wired = {key: value for key, value in change.items() if key in ("roles", "gather_facts")}
    (folder / "playbooks/asked.yml").write_text(yaml.safe_dump([{**wired, "hosts": "all", "tasks": tasks}]))
    answers: dict[str, list[Any]] = {name: [] for name in hosts}
    for task in tasks_of_run(folder, "playbooks/asked.yml", ANSIBLE_COLLECTIONS_PATH=str(folder.parents[2])):
        for host, result in task["hosts"].items():
            if result.get("msg") not in (None, "All assertions passed"):
                answers[host].append(result["msg"])
    return answers


@pytest.mark.parametrize("case", CASES)
def test_the_edge_speaks_what_the_release_that_runs_understands(said: dict[str, list[Any]], case: str) -> None:
    """And is changed at the end, where another one has the traffic by then, and has the socket (here none has)."""
    speaks, socket, opened, *_ = said[case][0]
    assert speaks == CASES[case][2]
    assert socket == {"http": "/run/site/app.sock", "uwsgi": "/run/site/app.uwsgi"}[speaks]
    assert opened is (CASES[case][0].get("edge_upstream_protocol") == "uwsgi" and case != "no edge")
    changed = any(
        str(told).startswith("edge_upstream_protocol: the release that runs has no socket") for told in said[case]
    )
    assert changed == (case in ("to uwsgi", "no edge"))


@pytest.mark.parametrize("case", HTTPS)
def test_the_site_is_asked_over_https_where_it_may_have_it(said: dict[str, list[Any]], case: str) -> None:
    """Elsewhere a redirect there is the application's own. Which names have a certificate, deploy.yml does not know."""
    assert said[case][0][3] == ("127.0.0.1:443" if HTTPS[case][2] else "")


@pytest.mark.parametrize("case", CASES)
def test_only_a_run_that_configured_the_edge_fails_for_it(said: dict[str, list[Any]], case: str) -> None:
    live, edge = said[case][0][4:]
    assert live is ("edge_configuration" not in CASES[case][0])
    assert edge == f"nginx on {case}"


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_go_together_is_refused_before_anything_changes(said: dict[str, list[Any]], case: str) -> None:
    (message,) = said[case]
    assert REFUSED[case][2] in message


# --- What a removal finds

REMOVALS = {
    "alone": "",
    "nginx": "remove: tides on nginx is below the domain of site (app_mounted_below). Nothing was changed. Remove it first",
    "apache": "remove: tides on apache is below the domain of site (app_mounted_below). Nothing was changed. Remove it first",
    "broken": "remove: broken does not tell whether other applications are below the domain of site (find: Input/output error). Nothing was",
    "no edge": "",
}


@pytest.fixture(scope="module")
def removals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return what remove.yml says of each server before it removes anything."""
    folder = tmp_path_factory.mktemp("removal")
    for host, server in {"alone": "nginx", "nginx": "nginx", "apache": "apache2", "broken": "nginx"}.items():
        below = folder / host / server / "slipway/below-site"
        below.mkdir(parents=True)
        for name in ["@site.conf"] if host == "alone" else ["@site.conf", "+sea@tides.conf"]:
            (below / name).touch()
    failing = folder / "bin/find"
    failing.parent.mkdir()
    failing.write_text("#!/bin/sh\necho 'find: Input/output error' >&2\nexit 1\n")
    failing.chmod(0o755)
    tasks = play_of("remove.yml", "Remove the application from its hosts")["tasks"]
    look = task_of(tasks, "Look for other applications below the site's domain")
    look["ansible.builtin.shell"] = look["ansible.builtin.shell"].replace(
        "/etc/", f"'{folder}/{{{{ inventory_hostname }}}}'/"
    )
    look["environment"] = {"PATH": "{{ path }}"}
    check = task_of(tasks, "Check that no other application is below the site's domain")
    (folder / "look.yml").write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": [look, check]}]))
    path = os.environ["PATH"]
    hosts = {host: {"path": f"{failing.parent}:{path}" if host == "broken" else path} for host in REMOVALS}
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "app_name": "site"}
    groups = {"all": {"hosts": hosts, "vars": here}, "edge": {"hosts": dict.fromkeys(set(hosts) - {"no edge"})}}
    (folder / "hosts.json").write_text(json.dumps(groups))
    results = tasks_of_run(folder, "look.yml")[-1]["hosts"]
    return {host: result["msg"] if result.get("failed") else "" for host, result in results.items()}


@pytest.mark.parametrize("host", REMOVALS)
def test_a_removal_goes_on_only_where_no_application_is_below_the_domain(removals: dict[str, str], host: str) -> None:
    assert removals[host].startswith(REMOVALS[host])
    assert bool(removals[host]) == bool(REMOVALS[host])


# --- What preflight costs, and what it finds


# The tasks of each, as they are now; what a play includes while it runs is one, except for what a new release needs.
TASKS = {
    "playbooks/preflight.yml": 13,
    "playbooks/deploy.yml": 24,
    "playbooks/rollback.yml": 5,
    "site.yml": 92,
    "a new release": 11,
}


@pytest.mark.parametrize("playbook", TASKS)
def test_a_playbook_is_few_tasks(tmp_path: Path, playbook: str) -> None:
    (tmp_path / "hosts.yml").write_text("{app: {hosts: {one: }}, edge: {hosts: {one: }}, db: {hosts: {one: }}}\n")
    path = ROOT / playbook
    if not path.exists():
        path = tmp_path / "play.yml"
        task = {"name": "new", "ansible.builtin.import_tasks": f"{ROOT}/playbooks/tasks/new_release.yml"}
        path.write_text(yaml.safe_dump([{"name": "new", "hosts": "app", "tasks": [task]}]))
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    argv = [program, f"--inventory={tmp_path}/hosts.yml", "--list-tasks", str(path)]
    tasks = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = re.findall(r"^ {6}(.*)\tTAGS", tasks, re.MULTILINE)
    assert len(names) <= TASKS[playbook], (
        f"{playbook} has {len(names)} tasks, and had {TASKS[playbook]}: {names}. Each costs 25 ms or more of every run, also where it is "
        "skipped, 50 ms where it looks with raw, and 0.3 s where it is a module. Let one that is there do it, or raise the number."
    )


def look(folder: Path, *packages: str) -> list[str]:
    """Ask the server as preflight does, but for its folders; return the lines."""
    (task,) = (
        task
        for task in yaml.safe_load((ROOT / "roles/app/tasks/preflight.yml").read_text())
        if task.get("register") == "app_found"
    )
    known = {"app_name": "site", "app_disk_max": "", "_app_home": f"{folder}/home", "_app_build_user": "site-build"}
    lists = {
        "app_edge_sites": [f"{folder}/none", f"{folder}/site"],
        "app_packages": list(packages),
        "_app_events": [],
        "app_look_for": [f"{folder}/wanted", f"{folder}/nothing"],
    }
    script = templated(task["ansible.builtin.raw"], {**known, **lists})
    users = f'getent() {{ case $2 in *-build) echo "u:x:1:1::{folder}/home/build:";; *) echo "u:x:1:1::{folder}/home/shared:";; esac; }};'
    done = subprocess.run(
        ["sh", "-c", users + str(script).replace("/run/", f"{folder}/run/")], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_preflight_sees_what_the_running_release_and_the_edge_speak(tmp_path: Path) -> None:
    assert look(tmp_path) == []
    for folder in ("run/site", "home/releases/a/bin", "home/releases/b/bin"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "site").write_text(f"server unix:{tmp_path}/run/site/app.sock;\n")
    (tmp_path / "home/current").symlink_to("releases/a")
    assert look(tmp_path) == ["application"]
    (tmp_path / "run/site/app.uwsgi").symlink_to("instances/a.uwsgi")
    assert look(tmp_path) == ["application", "release-speaks-uwsgi"]
    (tmp_path / "site").write_text(f"uwsgi_pass unix:{tmp_path}/run/site/app.uwsgi;\n")
    assert look(tmp_path) == ["application", "release-speaks-uwsgi", "edge-speaks-uwsgi"]
    # A switch that was cut off has left the link to another release.
    (tmp_path / "home/current").unlink()
    (tmp_path / "home/current").symlink_to("releases/b")
    assert look(tmp_path) == ["application", "edge-speaks-uwsgi"]


def test_preflight_sees_what_it_is_told_to_look_for(tmp_path: Path) -> None:
    (tmp_path / "wanted").touch()
    assert look(tmp_path) == [f"{tmp_path}/wanted"]


def test_preflight_sees_whether_the_application_s_packages_are_installed(tmp_path: Path) -> None:
    assert look(tmp_path, "coreutils", "sed") == []
    assert look(tmp_path, "coreutils", "no such; package") == ["packages-missing"]


# --- The socket


def program(name: str, *, opened: bool) -> str:
    """Return a file of the role uwsgi, rendered with its defaults."""
    known = dict[str, Any]()
    for part in ("defaults", "vars"):
        known |= LOADER.load_from_file(str(ROOT / f"roles/uwsgi/{part}/main.yml"), trusted_as_template=True)
    known |= {"uwsgi_protocol_socket": opened, "path": str(ROOT / "roles/uwsgi/templates" / name)}
    return str(templated("{{ lookup('ansible.builtin.template', path) }}", known))


def test_uwsgi_opens_the_socket_only_where_it_is_wanted() -> None:
    """By its name in bin/serve the engine knows it; a change of that file is another release."""
    assert ".uwsgi" not in program("serve.j2", opened=False)
    assert program("serve.j2", opened=True).endswith(' "$socket" "${socket%.sock}.uwsgi"\n')
    assert program("serve.j2", opened=False).endswith(' "$bin" "$socket"\n')


def test_no_request_in_uwsgi_can_have_a_file_loaded() -> None:
    assert "max-apps = 1\n" in program("uwsgi.ini.j2", opened=True).partition("[settings]")[0]
    assert "max-apps" not in program("uwsgi.ini.j2", opened=False)
