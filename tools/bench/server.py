"""The throwaway servers of a run: Slipway's environments and the peers on them, and one measurement."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.figures import Sample, sample
from bench.sides import APP, BIN, CONNECTIONS, ENVIRONMENTS, UNITS, WITH_DATABASE, Side
from servers.records import server

ROOT = Path(__file__).resolve().parents[2]
SERVERS = [sys.executable, str(ROOT / "tools/servers")]
HERE = Path(__file__).parent
WORK = ROOT / ".cache/bench"
AGENT = "/opt/bench/agent.py"


def run(*argv: str | Path, data: bytes | None = None) -> str:
    """Run a command; return its output, end the benchmark where it fails."""
    done = subprocess.run([str(word) for word in argv], cwd=ROOT, input=data, capture_output=True, check=False)
    if done.returncode != 0:
        sys.exit(f"bench: {' '.join(map(str, argv))}\n{done.stdout.decode()[-4000:]}{done.stderr.decode()[-2000:]}")
    return done.stdout.decode()


def ssh(name: str, script: str, data: bytes | None = None) -> str:
    """Run a script of the shell on a server."""
    return run(*server(name).ssh_command("bash", "-euc", script), data=data)


def stylesheet() -> str:
    """Return a stylesheet of 90 KB, as varied as one that is written by hand."""
    rules: list[str] = []
    while sum(map(len, rules)) < 90_000:
        number = len(rules) * 2654435761 % 2**32  # spread (Knuth), and the same each time
        rules.append(
            f".block-{number % 997}__part-{len(rules)}:hover {{\n  color: #{number % 2**24:06x};\n"
            f"  margin: {number % 31}px {number % 17}px;\n  width: calc({number % 100}% - {number % 7}rem);\n}}\n"
        )
    return "".join(rules)


def source() -> Path:
    """Write the application with its stylesheet; return its folder."""
    folder = WORK / "app"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(HERE / "app", folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "static").mkdir()
    (folder / "static/site.css").write_text(stylesheet())
    return folder


def inventory(app_name: str) -> Path:
    """Write the inventory of one environment; return its path."""
    (name,) = (each for each, sites in ENVIRONMENTS.items() if app_name in sites)
    host: dict[str, object] = {name: server(name).host_variables()}
    children = {"edge": {"hosts": {name: {}}}, "app": {"hosts": {name: {}}}, "db": {"hosts": {}}}
    if app_name == WITH_DATABASE:
        children["db"] = {"hosts": {name: {}}}
    variables = {"app_name": app_name, "app_source": str(WORK / "app"), "app_domains": [f"{app_name}.test"]}
    content = {"all": {"hosts": host, "vars": variables | ENVIRONMENTS[name][app_name], "children": children}}
    path = WORK / app_name / "hosts.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2))
    return path


def deploy(app_name: str, *extra: str) -> None:
    """Run site.yml for one environment."""
    run(ROOT / ".venv/bin/ansible-playbook", "--inventory", inventory(app_name), "site.yml", *extra)


def start_peers(name: str) -> None:
    """Install wrk and the peers' programs on a server, and start the peers."""
    archive = subprocess.run(
        ["tar", "-C", WORK, "-c", "app", "-C", HERE, "peers", "agent.py"], capture_output=True, check=True
    )
    ssh(name, "mkdir -p /opt/bench; tar -x --no-same-owner -C /opt/bench", archive.stdout)
    names = " ".join(f"{each}.test" for each in ENVIRONMENTS[name])
    ssh(
        name,
        f"""
        echo 127.0.0.1 {names} >> /etc/hosts
        DEBIAN_FRONTEND=noninteractive apt-get install -yqq --no-install-recommends wrk python3-venv >&2
        python3 -m venv /opt/bench/venv
        {BIN}/pip install -q -r {APP}/requirements.txt -r /opt/bench/peers/requirements.txt
        cp /opt/bench/peers/embedded.wsgi {APP}
        install -d -m 1777 /run/bench
        """,
    )
    database = f"postgresql:///{WITH_DATABASE}?host=/var/run/postgresql"
    for unit in UNITS:
        if unit.server == name:
            log = f"append:/var/log/bench-{unit.name}.log"
            properties = [
                f"User={unit.user}",
                f"StandardOutput={log}",
                f"StandardError={log}",
                f"WorkingDirectory={APP}",
            ]
            settings = [f"PYTHONPATH={APP}", f"DATABASE_URL={database}"]
            words = [f"--property={one}" for one in properties] + [f"--setenv={one}" for one in settings]
            run(
                *server(name).ssh_command("systemd-run", "-q", f"--unit=bench-{unit.name}", *words, "--", *unit.command)
            )


def versions(name: str) -> list[str]:
    """Return what is installed on a server, as `name version`."""
    packages = "nginx apache2 libapache2-mod-wsgi-py3 postgresql-17 python3 wrk"
    libraries = "gunicorn uwsgi pyuwsgi granian flask sqlalchemy psycopg"
    ask = "import importlib.metadata as m, sys; [print(d.name, d.version) for d in m.distributions() if d.name.lower() in sys.argv]"
    script = f"""
        for package in {packages}; do
          dpkg-query --show --showformat='${{Package}} ${{Version}}\n' $package 2>/dev/null | grep ' ' || : # some are the other server's
        done
        for python in /srv/*/current/.venv/bin/python {BIN}/python; do $python -c {shlex.quote(ask)} {libraries}; done
        """
    return ssh(name, script).splitlines()


def set_up(name: str, sites: list[str]) -> None:
    """Boot a server with some of its environments, and the peers."""
    run(*SERVERS, "down", name)
    run(*SERVERS, "up", name, "--debian", "trixie")
    for app_name in sites:
        deploy(app_name)
    start_peers(name)


def set_up_all(sites: Mapping[str, list[str]]) -> None:
    """Boot servers side by side. sites: their environments, by server."""
    source()
    with ThreadPoolExecutor() as pool:
        list(pool.map(set_up, sites, sites.values()))


def tear_down() -> None:
    """Remove the servers."""
    run(*SERVERS, "down", *ENVIRONMENTS)


def measure(side: Side, seconds: int, warm_up_seconds: int = 1) -> Sample:
    """Measure one side once."""
    plan = {
        "url": side.url,
        "seconds": seconds,
        "warm_up_seconds": warm_up_seconds,
        "connections": CONNECTIONS,
        "headers": side.headers,
        "units": side.units,
        "command": side.command,
    }
    script = f'PYTHONPATH={APP} exec python3 {AGENT} "$(cat)"'
    return sample(json.loads(ssh(side.server, script, json.dumps(plan).encode())))
