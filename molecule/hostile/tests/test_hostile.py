"""What an application that attacks can do, in its build, before its start and while it runs. The tests build on each other."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from probe import Answer, Site, until

SCENARIO = Path(__file__).parents[1]
LOG_UNITS = "{mallory,trudy,victim}*"
MALLORY = Site(SCENARIO / "environments/mallory", "mallory", "hostile-trixie", "mallory.test")
TRUDY = Site(SCENARIO / "environments/trudy", "trudy", "hostile-bookworm", "trudy.test")
VICTIM = SCENARIO / "environments/victim"
PASSWORD = "correct-horse-battery-staple"
NOT_PUBLISHED = {
    "#main.py#": "hidden, or left over by a program",
    ".env": "hidden, or left over by a program",
    "backup.tar.gz": "of no kind that is published",
    "cert.p12": "of no kind that is published",
    "dangling.css": "a link that leads elsewhere, or nowhere",
    "data.sqlite3-wal": "of no kind that is published",
    "id_rsa": "of no kind that is published",
    "linked.txt": "a link that leads elsewhere, or nowhere",
    "main.py.txt": "a .py file",
    "passwd.txt": "a link that leads elsewhere, or nowhere",
    "settings.py": "of no kind that is published",
    "swapped.css": "a link that leads elsewhere, or nowhere",
}

testinfra_hosts = ["localhost"]
pytestmark = pytest.mark.lost_requests


def told(site: Site, program: str) -> tuple[int, str]:
    """Let the attacker run a program of the shell's; return its exit code and output."""
    answer = site.ask("/run", method="POST", body=program.encode()).json
    return answer["code"], answer["output"]


@pytest.fixture(scope="module", params=[MALLORY, TRUDY], ids=lambda site: site.name)
def site(request: pytest.FixtureRequest) -> Site:
    """Each attacker."""
    found: Site = request.param
    return found


def victim_beside(site: Site) -> Site:
    """Who must not notice an attacker."""
    return Site(VICTIM, "victim", site.server, "victim.test")


@contextmanager
def visited(*sites: Site) -> Iterator[None]:
    """Have a visitor at each site in the meantime, who gets every page."""
    over = threading.Event()
    pages: dict[str, list[Answer | OSError]] = {site.name: [] for site in sites}

    def visit(site: Site) -> None:
        while not over.wait(0.05):
            try:
                pages[site.name].append(site.ask("/"))
            except OSError as error:
                pages[site.name].append(error)

    visitors = [threading.Thread(target=visit, args=[site]) for site in sites]
    for visitor in visitors:
        visitor.start()
    try:
        yield
    finally:
        over.set()
        for visitor in visitors:
            visitor.join()
    for name, seen in pages.items():
        assert seen, name
        assert [page for page in seen if not (isinstance(page, Answer) and page.status == 200)] == [], name


def look_at(site: Site, what: str, folder: str, played: list[tuple[int, str]]) -> tuple[bool, bool]:
    """Wait until a service of the deploy attacks; return whether the running release sees it, and whether it could end it.

    played: the deploy's exit code and output, once it has ended. Fails where it ends before the service attacks.
    """
    until(lambda: played or site.host.run("[ -s %s/alive ]", folder).rc == 0, f"the {what} attacks", 300)
    assert not played, played[0][1]
    process = site.host.check_output("systemctl show --property=MainPID --value %s-%s.service", site.name, what)
    assert process != "0"
    seen = process in told(site, "ls /proc")[1].split()
    return seen, told(site, f"kill -0 {process}")[0] == 0


@pytest.fixture(scope="module")
def deployed(site: Site) -> str:
    """Deploy the attacker again, while it does what it can against that; return what the play printed.

    No visitor notices.
    """
    # Files in its home affected its next build, and ran there.
    code, output = told(
        site, "mkdir -p $HOME/.config/uv && echo 'no toml' > $HOME/.config/uv/uv.toml && ls -A $HOME/.config"
    )
    assert (code, output) == (0, "uv\n")
    build, shared = f"/srv/{site.name}/build", f"/srv/{site.name}/shared"
    site.host.check_output(f"rm -f {build}/alive {shared}/alive && touch {build}/wait {shared}/wait")
    played: list[tuple[int, str]] = []
    runner = threading.Thread(target=lambda: played.append(site.playbook("deploy", app_release_force=True)))
    unit = f"{site.name}-build.service"
    with visited(site, victim_beside(site)):
        runner.start()
        try:
            assert look_at(site, "build", build, played) == (False, False)
            limits = site.host.check_output("systemctl show --property=MemoryMax,TasksMax,CPUWeight,IOWeight %s", unit)
            assert "infinity" not in limits
            judgement = site.host.check_output("systemd-analyze security --no-pager %s", unit)
            found = re.search(r"Overall exposure level for \S+: ([\d.]+)", judgement)
            assert found
            assert float(found[1]) <= 2.0, judgement
            site.host.check_output("rm %s/wait", build)
            # Without PrivatePIDs it can be ended by any process that guesses its number (docs/security.md).
            assert look_at(site, "prestart", shared, played) == (False, site is TRUDY)
            # What prepares a release may write where the release will.
            writable = site.host.check_output("systemctl show --property=ReadWritePaths --value %s-prestart", site.name)
            assert writable == (shared if site is MALLORY else f"{shared} /var/local")
        finally:
            site.host.check_output("rm -f %s/wait %s/wait", build, shared)
            runner.join()
    code, output = played[0]
    assert code == 0, output
    return output


@pytest.fixture(scope="module")
def report(site: Site, deployed: str) -> str:
    """What its build found out."""
    return site.host.file(f"/srv/{site.name}/current/code/report.txt").content_string


def test_a_build_is_another_user_and_knows_no_secret(site: Site, report: str) -> None:
    assert f"user: {site.name}-build" in report
    assert "HOME=/tmp" in report
    secret = site.host.check_output("cat /srv/%s/secret_key", site.name)
    for word in ("DATABASE_URL", "SECRET", secret, PASSWORD):
        assert word not in report


def test_a_build_reaches_nothing_and_writes_nowhere_but_in_its_release(report: str) -> None:
    assert [line for line in report.splitlines() if line.startswith(("reached:", "wrote:"))] == []


def test_no_process_outlives_its_build_and_the_release_is_root_s(site: Site, deployed: str) -> None:
    name = site.name
    assert site.host.run(f"pgrep --uid {name}-build").stdout == ""
    sealed = f"/srv/{name}/current/{{code,.venv,bin,env,public,requirements.txt,hashes.txt}}"
    assert site.host.check_output(f"bash -c 'find {sealed} ! -user root'") == ""
    assert site.host.check_output(f"bash -c 'find {sealed} ! -type l -perm /g+w,o+w'") == ""


def test_what_is_not_published_is_said_and_nobody_gets_it(site: Site, deployed: str) -> None:
    assert site.ask("/static/site.css").body == b"a {}\n"
    for name, why in NOT_PUBLISHED.items():
        assert f"{name}: {why}" in deployed
        assert site.host.run("ls /srv/%s/current/public/static/%s", site.name, name).rc != 0
        # Nor from the application, whose own static route has the whole folder.
        for spelling in ("/static/{}", "/static/{}/", "//static/{}", "/static%2F{}", "/static/./{}"):
            assert site.ask(spelling.format(quote(name))).status in (400, 404), spelling.format(name)


def test_what_runs_before_the_start_is_sandboxed_and_ends(site: Site, deployed: str) -> None:
    found = site.host.file(f"/srv/{site.name}/shared/prestart").content_string
    assert re.search(r"NoNewPrivs:\t1\n(.*\n)*Seccomp:\t2", found), found
    assert "wrote:" not in found
    assert site.host.run("pgrep -f '[s]leep 7373'").stdout == ""


def test_an_application_reads_nothing_of_its_neighbour(site: Site) -> None:
    victim = "/srv/victim"
    for path in (
        f"{victim}/secret_key",
        f"{victim}/shared",
        f"{victim}/build",
        f"{victim}/next/env",
        f"{victim}/current/env",
        f"{victim}/current/code/main.py",
        "/run/victim/instances",
        "/etc/shadow",
    ):
        assert site.host.run("ls %s", path).rc == 0
        assert told(site, f"cat {path} || ls {path}/")[0] != 0, path
    assert PASSWORD not in told(site, "cat /proc/[0-9]*/environ /etc/supervisor/conf.d/* /var/log/supervisor/*")[1]


def test_an_application_can_gain_no_rights(site: Site) -> None:
    status = told(site, "cat /proc/self/status")[1]
    assert "NoNewPrivs:\t1" in status
    assert "CapBnd:\t0000000000000000" in status


def test_an_application_writes_nowhere_but_in_its_own_folders(site: Site) -> None:
    """Nor does it see other users' processes, or has a neighbour's /tmp."""
    site.host.check_output("touch /tmp/neighbour /dev/shm/neighbour /var/tmp/neighbour")
    for folder in ("/tmp", "/var/tmp", "/dev/shm"):
        assert told(site, f"touch {folder}/own && ls {folder}")[1].split() == ["own"]
    assert told(site, "touch /run/lock/x")[0] != 0
    assert told(site, "touch /srv/$APP_NAME/current/code/x")[0] != 0
    users = set(told(site, "stat --format=%U /proc/[0-9]*")[1].split())
    assert users == {site.name}


def test_nobody_else_reads_an_application_s_secrets(site: Site, deployed: str) -> None:
    """Wherever a server keeps files, read as the user nobody."""
    secret = site.host.check_output("cat /srv/%s/secret_key", site.name)
    places = "/srv /etc /opt /run /var/log /var/lib /tmp /dev/shm"
    found = site.host.run(f"cd / && runuser -u nobody -- grep -rsl -D skip -F -e {secret} -e {PASSWORD} {places}")
    assert found.stdout == ""
    readable = "find /etc/supervisor/conf.d /var/log/supervisor -type f -readable"
    assert site.host.run(f"cd / && runuser -u nobody -- {readable}").stdout == ""


def test_a_repository_with_two_entries_of_one_name_is_refused(site: Site, tmp_path: Path) -> None:
    """A link, and a folder that would be unpacked through it."""

    def git(*arguments: str, given: bytes = b"") -> str:
        made = subprocess.run(["git", *arguments], cwd=tmp_path, input=given, check=True, capture_output=True)
        return made.stdout.decode().strip()

    def tree(*entries: tuple[str, str]) -> str:
        raw = b"".join(kind.encode() + b"\0" + bytes.fromhex(thing) for kind, thing in entries)
        return git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", given=raw)

    git("init", "--quiet", "--initial-branch=main")
    link = git("hash-object", "-w", "--stdin", given=b"/etc")
    folder = tree(("100644 pwn", git("hash-object", "-w", "--stdin", given=b"")))
    who = ["-c", "user.name=mallory", "-c", "user.email=mallory@mallory.test"]
    git("update-ref", "HEAD", git(*who, "commit-tree", tree(("120000 x", link), ("40000 x", folder)), "-m", "x"))
    code, output = site.playbook("deploy", app_source=f"file://{tmp_path}")
    assert code != 0
    assert "app_source: 'x' is there twice" in output
    assert not site.host.file("/etc/pwn").exists


@pytest.fixture
def undone(site: Site) -> Iterator[None]:
    """What an attacker did to its own sockets is undone by whoever removes their folder: it comes back by itself."""
    yield
    link = site.host.file(f"/run/{site.name}/app.sock")
    site.host.run("rm -rf /run/%s", site.name)  # it fails at the folder of the instances, which is a mount point
    until(lambda: link.exists and site.ask("/").status == 200, "the attacker serves again")


@pytest.mark.usefixtures("undone")
def test_a_link_in_a_socket_s_place_leads_nowhere(site: Site) -> None:
    """Its visitors got the neighbour's site under the attacker's name."""
    folder = f"/run/{site.name}/instances"
    swap = f"cd {folder} && for s in *.sock; do ln -s /run/victim/app.sock link && mv -T link $s; done; ls -l"
    code, output = told(site, swap)
    assert code == 0, output
    assert "-> /run/victim/app.sock" in output

    def refused() -> bool:
        answer = site.ask("/")
        assert b"victim" not in answer.body
        # nginx's and Apache's; not before the edge has closed the connections that it kept
        return answer.status in (502, 503)

    until(refused, "the edge connects again")
    # The link that the edge follows is root's.
    assert site.host.run(f"runuser -u {site.name} -- ln -sf /run/victim/app.sock /run/{site.name}/app.sock").rc != 0


@pytest.mark.usefixtures("undone")
def test_a_full_folder_of_sockets_is_nobody_else_s(site: Site) -> None:
    """A full /run kept systemd from reloading, and every other application from being deployed."""
    fill = f"cd /run/{site.name}/instances && dd if=/dev/zero of=fill bs=1M count=64; for i in $(seq 2000); do : > $i; done"
    code, output = told(site, fill)
    assert code != 0
    assert "No space left on device" in output
    room = site.host.check_output("df --output=avail -k /run | tail -n 1")
    assert int(room) > 1024
    site.host.check_output("systemctl daemon-reload")
    assert victim_beside(site).ask("/").body == b"the victim's own page"


def test_what_leaked_is_withdrawn_at_once(site: Site, deployed: str) -> None:
    """A file that the active release has no more is still served from the previous one."""
    leak = f"/srv/{site.name}/previous/public/static/leak.txt"
    site.host.check_output("echo secret > %s", leak)
    assert site.ask("/static/leak.txt").body == b"secret\n"
    code, output = site.playbook("status")
    assert code == 0, output
    assert "are served too, until the next deploy or playbooks/withdraw.yml" in output
    for dry_run, status in (["--check", "--diff"], 200), ([], 404):
        code, output = site.playbook("withdraw", *dry_run)
        assert code == 0, output
        assert site.ask("/static/leak.txt").status == status
    code, output = site.playbook("withdraw")
    assert (code, "changed=0" in output) == (0, True)


def test_it_is_removed_whatever_it_does(site: Site) -> None:
    """Its process forks again and again, and so escapes a loop over the processes; its folders are too deep for Python."""
    name, host = site.name, site.host
    uid = host.check_output("id --user %s", name)
    # Nothing else is there, so that the folders are not kept but removed.
    deep = f"import os; os.chdir('/srv/{name}/shared'); [(os.mkdir('d'), os.chdir('d')) for _ in range(3000)]"
    assert told(site, f'find /srv/{name}/shared -mindepth 1 -delete; python3 -c "{deep}"') == (0, "")
    hop = "import os; any(os.fork() and os._exit(0) for _ in iter(int, 1))"
    told(site, f'setsid python3 -c "{hop}" > /dev/null 2>&1 < /dev/null &')
    with visited(victim_beside(site)):
        code, output = site.playbook("remove", remove=name, remove_database=True)
    assert code == 0, output
    assert host.run(f"pgrep --uid {uid}").stdout == ""
    assert host.run("getent passwd %s", name).rc != 0
    assert (
        host.run(f"ls -d /srv/{name} /run/{name} /etc/systemd/system/{name}* /etc/supervisor/conf.d/{name}*").stdout
        == ""
    )
