"""The programs of a release, as the roles render them: shellcheck finds no fault in them, nor in Slipway's own scripts."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugin import ROOT

TEMPLATES = [path for path in sorted(ROOT.glob("roles/*/templates/*.j2")) if path.read_text().startswith("#!/bin/sh")]
WORKERS = [{"name": "mail", "command": "celery worker", "count": 2}]
TIMERS = [{"name": "sweep", "command": "flask sweep", "on_calendar": "daily"}]
CONNECTION = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
VARIABLES = {
    "app_name": "site",
    "app_source": str(ROOT / "app"),
    "app_domains": ["site.test"],
    "app_wired_env": {},
    "app_workers": WORKERS,
    "app_timers": TIMERS,
    "process_manager_name": "site",
    "process_manager_workers": WORKERS,
    "process_manager_timers": TIMERS,
    # In the place of facts.
    **dict.fromkeys(["gunicorn_workers", "granian_workers", "granian_blocking_threads", "uwsgi_processes"], 2),
}


def variables_of(role: Path) -> list[Path]:
    """Return the files with a role's variables, after those of the role with what all of its kind have."""
    kinds = [ROOT / "roles" / kind for kind in ("app_server", "process_manager")]
    files = [folder / part / "main.yml" for folder in (*kinds, role) for part in ("defaults", "vars")]
    return [file for file in files if file.exists()]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the shell scripts among what the roles have as templates, by role and name."""
    folder = tmp_path_factory.mktemp("scripts")
    (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": {"here": CONNECTION}}}))
    plays = [
        {
            "name": path.parts[-3],
            "hosts": "all",
            "gather_subset": ["!all", "!min", "distribution", "hardware"],
            "vars_files": [str(file) for file in variables_of(path.parents[1])],
            "vars": {"role_path": str(path.parents[1])},
            "tasks": [
                {
                    "name": path.stem,
                    "ansible.builtin.debug": {"msg": f"{{{{ lookup('ansible.builtin.template', '{path}') }}}}"},
                }
            ],
        }
        for path in TEMPLATES
    ]
    (folder / "play.json").write_text(json.dumps(plays))
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible-playbook")),
            f"--inventory={folder}/hosts.json",
            f"--extra-vars={json.dumps(VARIABLES)}",
            f"{folder}/play.json",
        ],
        cwd=ROOT,
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {
        f"{play['play']['name']}/{task['task']['name']}": task["hosts"]["here"]["msg"]
        for play in json.loads(done.stdout)["plays"]
        for task in play["tasks"]
        if "msg" in task["hosts"]["here"]
    }


def shellcheck(script: str) -> str:
    """Return what shellcheck says of a script."""
    command = [str(Path(sys.executable).with_name("shellcheck")), "--format=gcc", "-"]
    return subprocess.run(command, input=script, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize("name", [f"{path.parts[-3]}/{path.stem}" for path in TEMPLATES])
def test_shellcheck_finds_no_fault_in_what_a_role_renders(name: str, rendered: dict[str, str]) -> None:
    assert rendered[name].startswith("#!/bin/sh")
    assert shellcheck(rendered[name]) == ""


def test_shellcheck_finds_no_fault_in_the_kit_s_own_scripts() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [ROOT / name for name in listed.split("\0") if name]
    scripts = [path for path in paths if path.is_file() and path.suffix in {"", ".sh"}]
    texts = {path: text for path in scripts if (text := path.read_text(errors="replace")).startswith("#!/bin/")}
    assert len(texts) > 3
    assert {str(path): said for path, text in texts.items() if (said := shellcheck(text))} == {}


# Supervisor as its instance of a release meets it: `stop` waits for the end of the web server, whose process group is in $WEB.
SUPERVISORCTL = """#!/bin/sh
case "$*" in
  pid) echo 1 ;;
  pid*) echo "$WEB" ;;
  stop*) while kill -0 "$WEB" 2> /dev/null; do sleep 0.1; done ;;
  status*) if [ -n "$SAYS" ]; then echo "$SAYS"; elif kill -0 "$WEB" 2> /dev/null; then echo "site-green:site-green-web STOPPING"; fi ;;
esac
"""


class Instance:
    """bin/instance of a release under Supervisor, with its folders in one of the test's."""

    def __init__(self, script: str, folder: Path) -> None:
        self.logs = folder / "log"
        self.programs = folder / "programs"
        self.program = folder / "green/bin/instance"
        places = {
            "/etc/supervisor/conf.d": "conf",
            "/var/log/supervisor": "log",
            "/etc/cron.d": "cron",
            "/etc/systemd/system": "units",
        }
        for place, name in places.items():
            (folder / name).mkdir()
            script = script.replace(place, str(folder / name))
        self.program.parent.mkdir(parents=True)
        self.programs.mkdir()
        for path, text in {
            self.program: script,
            self.programs / "supervisorctl": SUPERVISORCTL,
            self.programs / "systemctl": "#!/bin/sh\n",
        }.items():
            path.write_text(text)
            path.chmod(0o755)

    def tell(self, *verb: str, web: int = 0, says: str = "") -> str:
        """Run it; return what it prints. web: the process group of the web server. says: what Supervisor says of its programs."""
        environment = {"PATH": f"{self.programs}:{os.environ['PATH']}", "WEB": str(web or "none"), "SAYS": says}
        command = [str(self.program), *verb]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.fixture
def supervised(rendered: dict[str, str], tmp_path: Path) -> Instance:
    """Return an instance of a release that Supervisor runs."""
    return Instance(rendered["supervisor/instance"], tmp_path)


def test_supervisor_s_web_server_has_as_long_to_end_as_it_is_told(supervised: Instance) -> None:
    """One that does not heed SIGTERM, with a child of its own: both are gone."""
    with subprocess.Popen(
        ["sh", "-c", "trap '' TERM; sleep 90; :"], stdout=subprocess.PIPE, start_new_session=True
    ) as web:
        threading.Thread(target=web.wait, daemon=True).start()  # as its parent does
        supervised.tell("stop", "1", web=web.pid)
        assert web.stdout
        assert web.wait() == -signal.SIGKILL
        assert select.select([web.stdout], [], [], 60)[0]  # which ends when the last of them has


def test_the_log_under_supervisor_begins_with_the_last_start(supervised: Instance) -> None:
    log, older = supervised.logs / "site-green-web.log", supervised.logs / "site-green-web.log.1"
    log.write_text("an older fault\n")
    assert supervised.tell("log") == "an older fault\n"
    supervised.tell("start", says="site-green:site-green-web RUNNING")  # it was not started again
    assert supervised.tell("log") == "an older fault\n"
    supervised.tell("start", says="site-blue:site-blue-web RUNNING")
    assert supervised.tell("log") == ""
    assert older.read_text() == "an older fault\n"


@pytest.fixture
def supervisor(supervised: Instance, tmp_path: Path) -> Iterator[Instance]:
    """Return an instance of a release under a real Supervisor of the test's."""
    settings = tmp_path / "supervisord.conf"
    settings.write_text(f"""\
[supervisord]
nodaemon=true
logfile={tmp_path}/supervisord.log
pidfile={tmp_path}/supervisord.pid
[unix_http_server]
file={tmp_path}/s
[supervisorctl]
serverurl=unix://{tmp_path}/s
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[include]
files={tmp_path}/conf/*.conf
""")
    programs = Path(sys.executable).parent
    (supervised.programs / "supervisorctl").write_text(f'#!/bin/sh\nexec {programs}/supervisorctl -c {settings} "$@"\n')
    with subprocess.Popen([programs / "supervisord", "-c", settings], stdout=subprocess.DEVNULL) as process:
        yield supervised
        process.terminate()


def test_what_supervisor_refuses_is_what_a_start_says(supervisor: Instance, tmp_path: Path) -> None:
    """Silence would be taken for a release that is well."""
    said = "Supervisor does not take the files in {}. Correct supervisor_program, or the file of somebody else that it names: ERROR"
    script = supervisor.program.read_text()
    supervisor.program.write_text(script.replace("\nstdout_logfile=", "\npriority=abc\nstdout_logfile=", 1))
    with pytest.raises(subprocess.CalledProcessError) as error:
        supervisor.tell("start")
    assert error.value.stderr.startswith(said.format(tmp_path / "conf"))
    assert "abc" in error.value.stderr
    supervisor.program.write_text(script)
    supervisor.tell("start")
    (tmp_path / "conf/other.conf").write_text("[program:other]\npriority=abc\ncommand=true\n")
    supervisor.tell("stop")
    assert "site-green" not in supervisor.tell("status")


@pytest.mark.parametrize(("since", "told"), [({"LOG_SINCE": "@1700000000"}, "@1700000000"), ({}, "@0")])
def test_the_log_under_systemd_begins_with_the_start_that_is_asked_for(
    rendered: dict[str, str], tmp_path: Path, since: dict[str, str], told: str
) -> None:
    """Or with the release's first line. journalctl is one that prints what it is asked."""
    script, journalctl = tmp_path / "green/bin/instance", tmp_path / "journalctl"
    script.parent.mkdir(parents=True)
    script.write_text(rendered["systemd/instance"])
    journalctl.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    journalctl.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", **since}
    asked = subprocess.run(["sh", script, "log"], env=environment, capture_output=True, text=True, check=True).stdout
    assert {"--unit=*@green.service", f"--since={told}", "--lines=100"} <= set(asked.splitlines())


def test_a_supervisor_that_does_not_answer_is_what_fails(supervised: Instance) -> None:
    says = "unix:///var/run/supervisor.sock no such file"
    assert supervised.tell("status", says=says) == "supervisor\tfailing\t0\t0\t0\n"
    assert supervised.tell("status", says="site-green:site-green-web RUNNING pid 7, uptime 0:01:02") == (
        "site-green-web\trunning\t62\t0\t0\n"
    )
