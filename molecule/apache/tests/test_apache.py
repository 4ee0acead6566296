"""What Apache promises in addition to what every edge does (molecule/shared/edge_promises)."""

from __future__ import annotations

import contextlib
import functools
import http.client
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from testinfra.host import Host

import probe
from edge import AWAIT_INSTANCE, GZIP, SWAP, Edge, Play, Run, State, Stats, changes
from probe import said, until

SWITCH = Path(__file__).parents[1] / "switch.yml"

# --- Hosts


@pytest.mark.after_reboot
@pytest.mark.parametrize("port", [0, 8080])  # 0: the edge's usual one
@pytest.mark.parametrize("name", ["unknown.test", "default", "localhost", "one.test.evil.test"])
def test_an_unknown_host_is_misdirected(edge: Edge, name: str, port: int) -> None:
    """Neither the first site nor Debian's welcome page answers for names that no site has; the connection ends."""
    answer = edge.send(f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n", port)
    assert answer.startswith(b"HTTP/1.1 421 ")
    assert answer.endswith(b"No site of this name is here.")


def test_the_address_alone_shows_no_site(edge: Edge) -> None:
    """Scanners ask by address, and some without any Host."""
    assert edge.send(f"GET / HTTP/1.1\r\nHost: {edge.address}\r\n\r\n").startswith(b"HTTP/1.1 421 ")
    assert edge.send("GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 421 ")


# --- Static files


def test_nothing_of_apache_s_own_stands_before_the_application(edge: Edge) -> None:
    """Debian's package brings icons, a status page and programs below its own URLs."""
    for path in ("/icons/", "/icons/README", "/server-status", "/cgi-bin/test", "/index.html"):
        assert edge.ask(path).json["path"] == path


def test_an_encoded_slash_reaches_the_application_as_it_is(edge: Edge) -> None:
    """Apache by itself answers 404."""
    assert edge.ask("/a%2Fb//c").json["path"] == "/a%2Fb//c"


def test_a_page_compressed_on_the_way_is_not_sent_again_unchanged(edge: Edge) -> None:
    """mod_deflate changes the ETag, and does not recognise what comes back by itself."""
    for path in ("/static/only-2.css", "/static/twin.css"):
        packed = edge.ask(path, headers=GZIP)
        assert packed.headers["Content-Encoding"] == "gzip"
        again = edge.ask(path, headers={**GZIP, "If-None-Match": packed.headers["ETag"]})
        assert (again.status, again.body) == (304, b"")


# --- What the application is told


def test_apache_does_not_tell_its_version(edge: Edge) -> None:
    """Neither in a header nor on its own pages, nor what serves the application."""
    assert edge.ask("/echo").headers["Server"] == "Apache"
    answer = edge.ask("/static/.env")
    assert answer.headers["Server"] == "Apache"
    assert b"Apache/" not in answer.body
    assert b"Port 80" not in answer.body


def test_trace_is_refused(edge: Edge) -> None:
    """It would send back what only the application should see."""
    assert edge.ask("/echo", method="TRACE").status == 405


def test_a_slow_upload_holds_no_worker_of_the_application(edge: Edge, stats: Stats) -> None:
    """Up to apache_request_buffer_size it is read before the application hears of it."""
    length = 500_000
    with edge.open() as slow:
        slow.sendall(f"POST /slow HTTP/1.1\r\nHost: one.test\r\nContent-Length: {length}\r\n\r\n".encode())
        slow.sendall(bytes(length - 1))
        # It has been there for long when another request has come and gone.
        assert edge.ask("/echo").status == 200
        until(lambda: [stats(name)["open"] for name in ("blue", "green")] == [0, 0], "no connection is open")
        slow.sendall(b"x")
        assert slow.recv(15) == b"HTTP/1.1 200 OK"


def test_a_request_that_does_not_tell_its_length_is_refused(edge: Edge, stats: Stats) -> None:
    """It could not be held to the limit."""
    before = [stats(name)["requests"].get("POST /chunked") for name in ("blue", "green")]
    head = "POST /chunked HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert edge.send(head + "1\r\nx\r\n0\r\n\r\n").startswith(b"HTTP/1.1 411 ")
    assert [stats(name)["requests"].get("POST /chunked") for name in ("blue", "green")] == before


# --- Connections to the application


def test_a_connection_to_the_application_is_used_once(edge: Edge, stats: Stats) -> None:
    """So the application cannot close one just as the next request is sent, and an instance without traffic has none."""
    with contextlib.closing(edge.connect()) as connection:
        answers = [edge.ask("/echo", connection=connection).json for _ in range(5)]
        assert len({answer["connection"] for answer in answers}) == 5
        assert {tuple(answer["headers"]["connection"]) for answer in answers} == {("close",)}
        until(lambda: stats(answers[0]["instance"])["open"] == 0, "no connection is open")


def test_an_application_that_comes_back_is_asked_at_once(edge: Edge, dead_application: None, run: Run) -> None:
    """Apache by itself would not look again for a minute."""
    assert edge.ask("/echo").status == 503
    name = run("readlink /run/upstream/one.sock").strip().removesuffix(".sock")
    run(f"systemctl start upstream@{name}")
    run(AWAIT_INSTANCE.format(name=name))
    assert edge.ask("/echo").status == 200


def post_on_each(connections: list[http.client.HTTPConnection]) -> list[object]:
    """Send a request on each connection before any answer is read; return their statuses, and errors in their place."""
    for connection in connections:
        connection.request("POST", "/load", b"a=b", {"Host": "one.test"})
    statuses: list[object] = []
    for connection in connections:
        try:
            response = connection.getresponse()
            response.read()
            statuses.append(response.status)
        except (OSError, http.client.HTTPException) as error:
            statuses.append(error)
    return statuses


@pytest.mark.lost_requests
def test_swaps_under_load_lose_no_request(edge: Edge, run: Run, stats: Stats) -> None:
    """Kept connections of clients, POSTs that must neither fail nor be sent twice, and swaps while they are sent."""

    def posts() -> int:
        return sum(stats(name)["requests"].get("POST /load", 0) for name in ("blue", "green"))

    before = posts()
    connections = [edge.connect() for _ in range(8)]
    answers: list[object] = []
    with ThreadPoolExecutor() as background:
        for name in ("green", "blue", "green", "blue"):
            swap = background.submit(run, SWAP.format(name=name))
            while not swap.done():
                answers += post_on_each(connections)
            swap.result()
            for _ in range(5):
                answers += post_on_each(connections)
    for connection in connections:
        connection.close()
    assert [answer for answer in answers if answer != 200] == []
    assert posts() - before == len(answers)


def test_a_post_is_never_sent_twice(edge: Edge, stats: Stats) -> None:
    """The application hears of it once. On a connection that served before, Apache says nothing and closes it."""

    def posts() -> int:
        return sum(stats(name)["requests"].get("POST /drop", 0) for name in ("blue", "green"))

    before = posts()
    assert edge.ask("/drop", method="POST", body=b"a=b").status == 502
    with contextlib.closing(edge.connect()) as connection:
        assert edge.ask("/echo", connection=connection).status == 200
        with pytest.raises(http.client.RemoteDisconnected):
            edge.ask("/drop", method="POST", body=b"a=b", connection=connection)
    assert posts() == before + 2


# --- The program


def test_no_module_of_the_application_s_runs_here(run: Run) -> None:
    """Debian's package of mod_wsgi enables it in the Apache that faces the network."""
    run("dpkg-query --status libapache2-mod-wsgi-py3")
    assert "wsgi" not in run("apachectl -M")


def test_apache_took_its_limits_over(run: Run) -> None:
    """The package starts it with its own limits, and only a restart changes them."""
    run("zcat --force /var/log/apache2/error.log* | (! grep 'not allowed during restart')")


@pytest.mark.after_reboot
def test_all_processes_are_there_from_the_start(run: Run) -> None:
    """One that is ended for want of work closes idle connections of its visitors."""
    parent = run("cat /run/apache2/apache2.pid").strip()
    until(lambda: len(run(f"pgrep --parent {parent}").split()) == 256 // 64, "four processes")
    assert "event" in run("apachectl -V 2>/dev/null | grep 'Server MPM'")


# --- A user's own directives and templates: the site `page`


def test_directives_of_one_s_own_stand_beside_the_site_and_inside_it(edge: Edge) -> None:
    answer = edge.ask("/words", "page.test")
    assert (answer.body, answer.headers["X-Words"]) == (b"tiny\n", "page has no words")


def test_a_template_can_extend_the_role_s(edge: Edge) -> None:
    assert edge.ask("/from-a-template", "page.test").headers["Location"] == "https://example.org/"
    assert edge.ask("/.git/config", "page.test").status == 404
    assert edge.ask("/", "page.test", headers=GZIP).status == 200


# --- Changes


def test_a_configuration_that_apache_refuses_changes_nothing(edge: Edge, play: Play, state: State) -> None:
    """Also where other files of the same change are fine; the reader gets Apache's own words. A dry run foresees it."""
    before = state()
    for arguments in [], ["--check"]:
        done = play(*arguments, sites=["one"], apache_proxy_connection_timeout_seconds=0, apache_timeout_seconds=50)
        assert done.returncode != 0
        assert "apache refuses this configuration, so no file was changed" in done.stdout
        assert "/etc/apache2/sites-enabled/one.conf:" in done.stdout
        assert "Connectiontimeout" in done.stdout
        assert state() == before
    assert edge.ask("/echo").status == 200


@pytest.mark.one_debian
def test_arguments_that_cannot_work_are_refused_together(play: Play, state: State) -> None:
    """Each by its name, before anything is changed."""
    before = state()
    wrong = {
        "edge_site_name": "default",
        "edge_server_names": ["https://one.test/", ".one.test"],
        "apache_listen": ["80 https"],
        "edge_public_ports": [0],
        "edge_unset_request_headers": ["X-User;"],
        "edge_upstream_socket": "/run/" + "x" * 104,
        "edge_static_url": "static",
        "edge_static_roots": ["public/"],
        "edge_static_kinds": ["css", ".js"],
        "edge_static_forbidden_suffixes": [""],
        "apache_limit_request_body": "16 parsecs",
        "apache_request_buffer_size": "much",
        "apache_max_request_workers": 100,
        "edge_error_page_template": "/nowhere/50x.html.j2",
        "edge_maintenance_page_template": "/nowhere/maintenance.html.j2",
        "edge_maintenance_flag": "maintenance",
        "edge_maintenance_open_paths": ["/"],
        "edge_maintenance_retry_after_seconds": 0,
        "edge_paths": [{"path": "/login", "requests_per_minute": 5}],
        "apache_extra_virtual_host": ["/nowhere/extra.conf"],
    }
    done = play(sites=["one"], **wrong)
    assert done.returncode != 0
    assert [name for name in wrong if f"{name}:" not in done.stdout] == []
    assert "example.org and *.example.org for .example.org" in said(done)
    assert state() == before


@pytest.mark.one_debian
def test_a_site_moves_to_nginx_and_back(edge: Edge, host: Host, run: Run, change: Play) -> None:
    """The former edge goes on where it has other sites, and is neither running nor started at boot where it has none."""
    switch = functools.partial(probe.play, SWITCH, "--limit", host.backend.host)
    other = "/etc/nginx/conf.d/other.conf"
    try:
        for to, program in ("apache", "Apache"), ("nginx", "nginx"), ("apache", "Apache"):
            assert changes(switch(to=to)) > 0

            def is_moved(program: str = program) -> bool:
                answer = edge.ask("/echo", "www.moved.test", port=8085)
                return (answer.status, answer.headers["Server"]) == (200, program)

            until(is_moved, f"{program} answers")
            assert edge.ask("/echo").headers["Server"] == "Apache"
            for name in "nginx", "apache2":
                words = run(f"systemctl is-active {name}; systemctl is-enabled {name} 2>/dev/null; true").split()
                wanted = name == "apache2" or to == "nginx"
                assert ("active" in words, "enabled" in words) == (wanted, wanted), name
            assert changes(switch(to=to)) == 0
            if to == "nginx":
                # Somebody's own site there would keep nginx running, and the port.
                run(f"printf 'server {{\n  listen 8085;\n}}\n' > {other}")
                refused = switch(to="apache")
                run(f"rm {other}")
                assert refused.returncode != 0
                assert "apache_listen: 8085 is taken by nginx, which serves other there" in said(refused)
        refused = switch(to="nginx", port="80")
        assert refused.returncode != 0
        assert (
            "nginx_listen: 80 is taken by apache2, which serves one, page, pages, redirect, single, site-two, third there"
            in said(refused)
        )
        assert edge.ask("/echo", "www.moved.test", port=8085).headers["Server"] == "Apache"
    finally:
        change(tasks="remove", edge_site_name="moved")
    # Of an nginx that the role never knew nothing is touched; of one that it did, the logs go too.
    remove = functools.partial(change, tasks="remove", role="nginx", edge_site_name="moved")
    log = "/var/log/nginx/moved.access.log"
    run("mv /etc/nginx/slipway /etc/nginx/elsewhere")
    assert changes(remove()) == 0
    run(f"test -e {log} && mv /etc/nginx/elsewhere /etc/nginx/slipway")
    assert changes(remove()) > 0
    assert run("find /etc/nginx /etc/apache2 /var/log/nginx /var/log/apache2 -name '*moved*'") == ""


@pytest.mark.one_debian
def test_a_port_alone_and_with_an_address_is_refused(play: Play) -> None:
    """Apache could not open the second, and would end."""
    done = play(sites=["one"], apache_listen=["80", "[::]:80"])
    assert done.returncode != 0
    assert "names a port both alone and with an address" in done.stdout


@pytest.mark.one_debian
def test_a_port_that_another_site_has_alone_is_refused_with_an_address(play: Play, state: State) -> None:
    """Such a configuration passes its test, and ends Apache for all sites."""
    before = state()
    done = play(sites=["two"], apache_listen=["127.0.0.1:80"])
    assert done.returncode != 0
    assert "apache_listen: apache cannot listen on 127.0.0.1:80 and 80; no file was changed" in said(done)
    assert state() == before


@pytest.mark.one_debian
def test_a_port_is_left_to_one_address_and_taken_back(edge: Edge, run: Run, play: Play) -> None:
    """A reload would end Apache, which opens new sockets before it closes old ones."""
    program = (
        "import http.client as h;c=h.HTTPConnection('127.0.0.1',8080);"
        "c.request('GET','/echo',headers={'Host':'two.test'});print(c.getresponse().status)"
    )
    try:
        assert changes(play(sites=["two"], two_port="127.0.0.1:8080")) > 0
        assert run(f'python3 -c "{program}"').strip() == "200"
        assert not edge.listens(8080)
        assert edge.ask("/echo").status == 200
    finally:
        assert changes(play(sites=["two"])) > 0
    assert edge.ask("/echo", "two.test", port=8080).json["instance"] == "red"
    assert edge.ask("/echo").status == 200


@pytest.mark.one_debian
def test_an_argument_of_the_wrong_type_is_refused(play: Play) -> None:
    """By the argument specs."""
    done = play(sites=["one"], apache_proxy_timeout_seconds="many")
    assert done.returncode != 0
    assert "apache_proxy_timeout_seconds" in done.stdout
