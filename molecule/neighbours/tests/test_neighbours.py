"""Two applications on one server: what is done to the one, the other does not notice. The tests build on each other."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from probe import Site, until

SCENARIO = Path(__file__).parents[1]
SERVER = "neighbours-trixie"
LOG_UNITS = "{guestbook,tides}*"
pytestmark = pytest.mark.lost_requests

GUESTBOOK = Site(SCENARIO / "environments/guestbook", "guestbook", SERVER)
TIDES = Site(SCENARIO / "environments/tides", "tides", SERVER, "tides.test")
KEPT = "/var/backups/slipway"
UPLOAD = "shared/instance/uploads/boat.png"

testinfra_hosts = ["localhost"]


def sql(site: Site, query: str) -> str:
    """Ask the site's database something as the superuser."""
    return site.host.check_output("cd / && runuser -u postgres -- psql -XAtd %s -c %s", site.name, query)


def active(site: Site) -> str:
    """Return the id of the active release."""
    return site.host.check_output("basename $(readlink /srv/%s/current)", site.name)


def belongings(site: Site) -> str:
    """Return all that an application has on the server: processes, units, files, user, database."""
    return site.host.check_output(
        """name=%s
        ps -u $name -o pid=,lstart=,args=
        systemctl list-units --all --plain --no-legend "$name@*" "$name-*@*"
        find /srv/$name /run/$name /etc/nginx/*/$name* /etc/systemd/system/$name* /etc/tmpfiles.d/slipway-$name.conf \\
          -printf '%%p %%u:%%g %%m %%T@ %%l\n' | sort
        getent passwd $name
        cd / && runuser -u postgres -- psql -XAtc "select oid, datname, datdba from pg_database where datname = '$name'"
        """,
        site.name,
    )


@contextlib.contextmanager
def unnoticed_by(neighbour: Site, asked: int = 0) -> Iterator[None]:
    """Let something be done to the server; fail where the neighbour's visitors, processes, files or data tell of it.

    asked: how often the test has its status shown meanwhile, which asks for a page as a visitor does.
    """
    before = belongings(neighbour)
    assert "/srv/" in before
    done = threading.Event()
    answers: list[tuple[int, str]] = []

    def visit() -> None:
        while not done.is_set():
            try:
                answer = neighbour.ask("/")
                answers.append((answer.status, answer.body.decode()))
            except OSError as error:
                answers.append((0, str(error)))
            time.sleep(0.05)

    visitor = threading.Thread(target=visit)
    visitor.start()
    try:
        yield
    finally:
        done.set()
        visitor.join()
    assert {status for status, _ in answers} == {200}, [answer for answer in answers if answer[0] != 200]
    assert len(answers) > 5
    assert belongings(neighbour) == before
    if neighbour is TIDES:  # it counts in its database: no request was lost, and no other was counted
        numbers = [int(body.split()[-1]) for _, body in answers]
        assert numbers == sorted(set(numbers))
        assert numbers[-1] - numbers[0] + 1 == len(numbers) + asked


def status(site: Site, *arguments: str, down: str = "", **variables: object) -> dict[str, Any]:
    """Return the status for machines, as `grep '^{' | jq` would read it, and check that looking changed nothing.

    down: what it says that is down, which its exit code tells.
    """
    code, output = site.playbook("status", *arguments, status_format="json", **variables)
    assert (code != 0) == bool(down), output
    assert down in output
    assert "changed=0" in output
    (line,) = (line for line in output.splitlines() if line.startswith("{"))
    found: dict[str, Any] = json.loads(line)["hosts"][SERVER]
    return found


def shown(site: Site, *arguments: str, down: str = "", **variables: object) -> str:
    """Return the status for people. down: as above."""
    code, output = site.playbook("status", *arguments, **variables)
    assert (code != 0) == bool(down), output
    assert down in output
    assert "changed=0" in output
    return output


def test_the_status_of_what_is_not_deployed_is_one_message() -> None:
    output = shown(TIDES, down="nothing is deployed;", app_name="newcomer")
    assert f"newcomer on {SERVER}: nothing is deployed yet. Run ansible-playbook site.yml to deploy it." in output
    assert "disk" not in output
    assert status(TIDES, down="nothing is deployed", app_name="newcomer")["application"]["releases"] == []


def test_deploys_and_rollbacks_of_the_one_are_unnoticed_by_the_other() -> None:
    first = active(GUESTBOOK)
    GUESTBOOK.host.check_output("rm -f /run/slipway-test-go")
    hook = str(SCENARIO / "files/wait.yml")
    deploy: list[tuple[int, str]] = []
    with unnoticed_by(TIDES, asked=1):
        settings = {"app_env": {"MOTTO": "two"}, "app_after_build": [hook]}
        runner = threading.Thread(target=lambda: deploy.append(GUESTBOOK.playbook("deploy", **settings)))
        runner.start()
        try:
            builds = """grep -q '"step": "build"' /srv/guestbook/deploy.lock"""
            until(lambda: GUESTBOOK.host.run(builds).rc == 0, "the second release is built", 300)
            # A deploy is running, and the playbooks that only read do not block it.
            lock = status(GUESTBOOK)["application"]["lock"]
            assert (lock["verb"], lock["step"]) == ("deploy", "build")
            assert lock["who"]
            assert status(TIDES)["application"]["lock"] is None
            code, output = GUESTBOOK.playbook("remove", remove="guestbook")
            assert code != 0
            assert "(deploy, step: build). Wait until it has ended" in " ".join(output.split())
        finally:
            GUESTBOOK.host.check_output("touch /run/slipway-test-go")
            runner.join()
        assert deploy[0][0] == 0, deploy[0][1]
        second = active(GUESTBOOK)
        assert second != first
        code, output = GUESTBOOK.playbook("rollback")
        assert code == 0, output
        assert active(GUESTBOOK) == first
    sea = TIDES.ask("/").body.partition(b":")[0]
    with unnoticed_by(GUESTBOOK):
        code, output = TIDES.playbook("deploy", app_env={"SEA": "Baltic Sea"})
        assert code == 0, output
        assert TIDES.ask("/").body.startswith(b"Baltic Sea")
        code, output = TIDES.playbook("rollback")
        assert code == 0, output
        assert TIDES.ask("/").body.startswith(sea)


def test_the_status_says_what_is_there_what_runs_and_what_was_done() -> None:
    found = status(GUESTBOOK, "--check")
    facts = found["application"]
    assert facts["active"] == active(GUESTBOOK)
    assert {one["state"] for one in facts["releases"]} >= {"active", "previous"}
    assert all(one["built"] and one["source"] for one in facts["releases"])
    programs = {(one["name"], one["kind"]): one["state"] for one in facts["programs"]}
    assert programs == {
        ("web", "web"): "running",
        ("clock-1", "worker"): "running",
        ("clock-2", "worker"): "running",
        ("sweep", "timer"): "waiting",
        ("sweep", "job"): "stopped",
    }
    assert [one["verb"] for one in facts["deploys"]][:3] == ["rollback", "deploy", "deploy"]
    assert facts["lock"] is None
    assert facts["maintenance"] is None
    assert facts["certificates"] == []
    assert facts["disk"]["free"] > 0
    assert found["database"]["bytes"] == int(sql(GUESTBOOK, "select pg_database_size('guestbook')"))
    assert found["database"]["connections"] >= 1
    assert (found["valkey"]["problem"], found["valkey"]["most"]) == ("", 64 << 20)
    assert found["mail_relay"] == {"waiting": 0, "reason": "", "problem": ""}


def test_an_application_reaches_its_valkey_where_its_environment_says() -> None:
    """And its neighbour has none."""
    host = GUESTBOOK.host
    command = "/srv/guestbook/current/bin/run sh -c 'valkey-cli -s ${REDIS_URL#unix://} SET job 1'"
    assert host.check_output(f"runuser -u guestbook -- {command}") == "OK"
    url = "unix:///run/valkey-guestbook/valkey.sock"
    assert host.run(f"runuser -u tides -- valkey-cli -s {url.removeprefix('unix://')} GET job").stdout == ""
    assert host.run("runuser -u tides -- /srv/tides/current/bin/run printenv REDIS_URL").rc == 1


def test_an_application_hands_in_its_mail_where_its_environment_says() -> None:
    """And the status says what waits. Its neighbour has no relay."""
    program = (
        "import os, smtplib; mail = os.environ; smtplib.SMTP(mail['MAIL_SERVER'], int(mail['MAIL_PORT'])).sendmail"
    )
    program += "(mail['MAIL_DEFAULT_SENDER'], 'ada@mail.test', 'Subject: hello')"
    GUESTBOOK.host.check_output(f'runuser -u guestbook -- /srv/guestbook/current/bin/run python -c "{program}"')
    queue = "postqueue -c /etc/slipway/mail_relay/guestbook -j"
    until(lambda: "refused" in GUESTBOOK.host.check_output(queue), "the relay has tried")
    assert re.search(r"mail +1 waiting \(.*refused\)", shown(GUESTBOOK))
    assert GUESTBOOK.host.run("runuser -u tides -- /srv/tides/current/bin/run printenv MAIL_SERVER").rc == 1


def test_the_status_works_with_an_application_that_is_down_and_tells_of_its_certificates() -> None:
    host, release = TIDES.host, active(TIDES)
    site, certificate = "/etc/nginx/sites-enabled/tides", "/etc/ssl/tides.test.pem"
    request = (
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 5 -subj /CN=tides.test -keyout /dev/null -out {certificate}"
    )
    host.check_output(f"{request} 2>/dev/null && cp -p {site} /root/tides && systemctl stop tides@{release}")
    host.check_output(f"printf 'ssl_certificate {certificate};\nssl_certificate /nowhere.pem;\n' >> {site}")
    try:
        output = shown(
            TIDES, down="the application does not run; the certificate /nowhere.pem cannot be read; nginx on"
        )
    finally:
        host.check_output(f"mv /root/tides {site} && rm {certificate} && systemctl start tides@{release}")
    assert re.search(r"web +web +stopped", output)
    assert re.search(rf"{release} +active +2\d\d\d-", output)
    assert re.search(rf"certificate +valid until 2\d\d\d-.*, [45] days \({certificate}\)", output)
    assert re.search(r"certificate +/nowhere.pem: .*[Nn]o such file", output)
    assert re.search(r"database +tides: [\d.]+ MB, \d connections", output)
    assert re.search(r"rollback +" + release + r" +activated +\d+ s +\S+ from \S+", output)
    until(lambda: TIDES.ask("/").status == 200, "the application is up again")


def test_the_status_names_what_is_down_around_an_application() -> None:
    host = GUESTBOOK.host
    services = "nginx postgresql@17-main valkey-server@guestbook"
    host.check_output(f"systemctl stop {services}")
    try:
        output = shown(GUESTBOOK, down="database guestbook: ")
    finally:
        host.check_output(f"systemctl start {services}")
    for name in ("nginx on", "Valkey: "):
        assert name in output
    until(lambda: GUESTBOOK.ask("/").status == 200, "the application is up again")


def test_the_logs_of_application_edge_and_database_are_shown_of_this_application_alone() -> None:
    host = GUESTBOOK.host
    for site in (GUESTBOOK, TIDES):
        site.ask(f"/static/none-of-{site.name}")
        host.run("cd / && runuser -u postgres -- psql -X -d %s -c 'select mistake_of_%s'", site.name, site.name)
    code, output = GUESTBOOK.playbook("logs", "--check")
    assert code == 0, output
    assert "changed=0" in output
    for title in (
        "application",
        "edge, /var/log/nginx/guestbook.access.log",
        "edge, .*error.log",
        "database",
        "Valkey",
        "mail relay",
    ):
        assert re.search(rf"^==> {SERVER}, {title} <==$", output, re.MULTILINE), title
    assert "the clock starts" in output  # a worker's own words
    assert "to=<ada@mail.test>" in output
    assert "GET /static/none-of-guestbook" in output
    assert 'column "mistake_of_guestbook" does not exist' in output
    assert "of-tides" not in output
    assert "mistake_of_tides" not in output
    code, output = GUESTBOOK.playbook("logs", logs_lines="all")
    assert code != 0
    assert "logs_lines: " in output


def test_an_application_moves_below_a_path_and_back() -> None:
    """Its own files, its page, what monitors ask for: all below the path, and nothing else."""
    with unnoticed_by(GUESTBOOK):
        try:
            code, output = TIDES.playbook("site", app_url_prefix="/sea")
            assert code == 0, output
            assert b": tide " in TIDES.ask("/sea/").body
            assert TIDES.ask("/sea/static/site.css").status == 200
            assert TIDES.ask("/static/site.css").status == 404
            for path in ("/", "/sea"):
                assert TIDES.ask(path).headers["Location"] == "/sea/"
            assert status(TIDES, app_url_prefix="/sea")["edge"] == {"status": 200, "problem": ""}
            below_the_domain_of_the_other()
        finally:
            code, output = TIDES.playbook("site")
        assert code == 0, output
        assert TIDES.ask("/sea/").status == 404
        assert GUESTBOOK.ask("/sea/").status == 404


def below_the_domain_of_the_other() -> None:
    """The one is at a path of the other's domain: with its own pages, files, maintenance and log, and nothing outside the path."""
    where: dict[str, Any] = {
        "app_url_prefix": "/sea",
        "app_mounted_below": "guestbook",
        "app_domains": [GUESTBOOK.address],
    }
    code, output = TIDES.playbook("site", **where)
    assert code == 0, output
    page = GUESTBOOK.ask("/sea/")
    assert b": tide " in page.body
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert GUESTBOOK.ask("/sea").headers["Location"] == "/sea/"
    assert GUESTBOOK.ask("/sea/static/site.css").status == 200
    for path in ("/sea/static/none.css", "/sea/.env", "/sea/none", "/season"):
        assert GUESTBOOK.ask(path).status == 404
    with pytest.raises(OSError, match=r"reset|closed"):
        TIDES.ask("/sea/")  # its own domain is gone
    assert status(TIDES, **where)["edge"] == {"status": 200, "problem": ""}
    assert "GET /sea/.env" in TIDES.host.check_output("cat /var/log/nginx/tides.access.log")
    assert TIDES.playbook("maintenance", state="on", **where)[0] == 0
    closed = GUESTBOOK.ask("/sea/")
    assert (closed.status, closed.headers["Retry-After"]) == (503, "600")
    assert GUESTBOOK.ask("/sea/static/site.css").status == 200
    assert TIDES.playbook("maintenance", state="off", **where)[0] == 0
    code, output = TIDES.playbook("site", "--check", app_url_prefix="/sea", app_mounted_below="guestbook")
    assert code != 0
    assert "app_domains: tides.test is not among the domains of guestbook" in " ".join(output.split())
    code, output = GUESTBOOK.playbook("remove", remove="guestbook")
    assert code != 0
    assert f"tides on {SERVER} is below the domain of guestbook" in " ".join(output.split())


def test_maintenance_closes_the_one_site_and_leaves_assets_and_the_other_open() -> None:
    with unnoticed_by(GUESTBOOK):
        assert TIDES.playbook("maintenance", state="on")[0] == 0
        page = TIDES.ask("/")
        assert (page.status, page.headers["Retry-After"]) == (503, "600")
        assert b"<h1>Closed for maintenance</h1>" in page.body
        assert TIDES.ask("/", method="POST", body=b"x").status == 503
        assert TIDES.ask("/static/site.css").status == 200
        assert TIDES.ask("/static/none.css").status == 503  # nothing reaches the application
        since = status(TIDES)["application"]["maintenance"]
        assert abs(since - time.time()) < 300
        # A deploy during maintenance works, and does not open the site.
        code, output = TIDES.playbook("deploy", app_env={"SEA": "Irish Sea"})
        assert code == 0, output
        assert TIDES.ask("/").status == 503
        code, output = TIDES.playbook("maintenance", state="on")
        assert code == 0
        assert "changed=0" in output
        code, output = TIDES.playbook("maintenance", state="perhaps")
        assert code != 0
        assert 'state: "perhaps" is neither on nor off' in " ".join(output.split())
        assert TIDES.ask("/").status == 503
        assert TIDES.playbook("maintenance", state="off")[0] == 0
        assert TIDES.ask("/").body.startswith(b"Irish Sea")


def test_the_health_path_answers_in_maintenance() -> None:
    assert GUESTBOOK.playbook("maintenance", state="on")[0] == 0
    assert GUESTBOOK.ask("/healthz").json["status"] == "ok"
    assert GUESTBOOK.ask("/").status == 503
    assert "maintenance  on, since" in shown(GUESTBOOK)
    # It is left on: a removal takes the flag away too.


def test_a_removal_has_to_be_confirmed_and_a_dry_run_of_it_removes_nothing() -> None:
    GUESTBOOK.host.check_output("rm /srv/guestbook/maintenance")
    with unnoticed_by(GUESTBOOK):
        for said in ({}, {"remove": "tides"}):
            code, output = GUESTBOOK.playbook("remove", **said)
            assert code != 0
            assert "run this again with -e remove=guestbook." in " ".join(output.split())
        code, output = GUESTBOOK.playbook("remove", "--check", "--diff", remove="guestbook", remove_database=True)
        assert code == 0, output
        assert f"{SERVER}: guestbook would be removed." in output


def leftovers(site: Site) -> str:
    """Return everything on the server that still has the application's name, except what was kept and the journal."""
    return site.host.check_output(
        """name=%s
        find / -xdev \\( -path /proc -o -path /sys -o -path /var/backups -o -path /tmp -o -path /var/lib/postgresql \\) -prune \\
          -o -name "*$name*" -print
        ls -d /run/$name /etc/tmpfiles.d/*$name* 2>/dev/null || true
        getent passwd $name || true
        getent group $name || true
        systemctl list-units --all --plain --no-legend "$name@*" "$name-*@*" "slipway-$name-*"
        grep -rl "$name" /etc/nginx /etc/systemd /etc/tmpfiles.d || true
        nft list tables | grep "$name" || true # grep finds nothing where all is gone
        """,
        site.name,
    )


def test_one_application_is_removed_completely_and_the_other_does_not_notice() -> None:
    host = GUESTBOOK.host
    host.check_output(
        f"""cd /srv/guestbook && mkdir -p {Path(UPLOAD).parent} && echo boat > {UPLOAD} && touch maintenance
        # Leftovers of an accident: a unit that no release knows, and a shell that was left open.
        printf '[Service]\nExecStart=/bin/sleep 1000\n' > /etc/systemd/system/guestbook-old@000000000000.service
        systemctl daemon-reload && systemctl start guestbook-old@000000000000
        setsid runuser -u guestbook -- sleep 1000 >/dev/null 2>&1 &
        # And logs of an Apache that served the site before nginx did.
        mkdir -p /etc/apache2/slipway /var/log/apache2 && touch /var/log/apache2/guestbook.access.log.1
        """
    )
    rows = sql(GUESTBOOK, "select count(*) from entries")
    processes = "pgrep -cu guestbook || true"
    assert int(host.check_output(processes)) > 3
    with unnoticed_by(TIDES):
        code, output = GUESTBOOK.playbook("remove", remove="guestbook", remove_database=True)
        assert code == 0, output
        assert f"{SERVER}: guestbook was removed." in output
        assert leftovers(GUESTBOOK) == ""
        assert host.run("ps -C sleep -o pid=").stdout == ""
        assert host.run(f"test -e /srv/guestbook -o -e {KEPT}/guestbook.part").rc == 1
        databases = "cd / && runuser -u postgres -- psql -XAtc 'select datname from pg_database union select rolname from pg_roles'"
        assert "guestbook" not in host.check_output(databases)
    # What cannot be made again is where it says, for root alone.
    (folder,) = re.findall(rf"are kept in ({KEPT}/guestbook-\S+)/", output)
    assert host.check_output(f"cat {folder}/{UPLOAD}") == "boat"
    assert host.file(f"{folder}/secret_key").exists
    assert host.file(f"{folder}/release.log").contains("rollback")
    (data,) = re.findall(rf"the data of its Valkey is kept in ({KEPT}/guestbook-valkey-\S+)/", output)
    assert host.run(f"grep -rq job {data}").succeeded
    (mail,) = re.findall(rf"mail that was not sent yet is kept in ({KEPT}/guestbook-mail-\S+)/", output)
    assert host.run(f"grep -rq ada@mail.test {mail}/deferred").succeeded
    (dump,) = re.findall(rf"is kept as ({KEPT}/guestbook-\S+\.dump)", output)
    assert host.check_output(f"stat -c '%U %a' {KEPT} {folder} {dump}") == "root 700\nroot 700\nroot 600"
    content = f"pg_restore --data-only --table=entries --file=- {dump} | sed -n '/^COPY/,/^\\\\\\./p' | wc -l"
    assert int(host.check_output(content)) == int(rows) + 2


def test_a_second_removal_says_that_there_is_nothing_and_changes_nothing() -> None:
    with unnoticed_by(TIDES):
        code, output = GUESTBOOK.playbook("remove", remove="guestbook", remove_database=True)
    assert code == 0, output
    assert "changed=0" in output
    assert f"{SERVER}: guestbook was not found, nothing was removed." in output


def test_the_database_stays_until_it_is_said_to_go() -> None:
    # The inventory may say already that the site is to become its files alone, which preflight asks to be removed first.
    code, output = TIDES.playbook("remove", remove="tides", app_server="none")
    assert code == 0, output
    assert "the database, if there is one, was kept" in output
    assert leftovers(TIDES) == ""
    assert int(sql(TIDES, "select count(*) from tide")) > 0
    assert "nothing is deployed yet" in shown(TIDES, down="nothing is deployed;")
    code, output = TIDES.playbook("remove", remove="tides", remove_database=True)
    assert code == 0, output
    assert f"{SERVER}: tides was not found, nothing was removed." in output
    assert re.search(rf"is kept as {KEPT}/tides-\S+\.dump", output)


def test_the_server_is_well_with_nothing_on_it() -> None:
    host = TIDES.host
    assert host.check_output("cd /etc/nginx && ls -A sites-enabled slipway") == "sites-enabled:\n\nslipway:"
    assert ":80" not in host.check_output("ss -Hltn")
    assert host.check_output("find /etc -name '*slipway-connection-limit*'; nft list tables") == ""
    host.check_output("nginx -t && systemctl is-active nginx postgresql")
    assert host.check_output("systemctl list-units --failed --plain --no-legend") == ""
