"""What the nginx role promises, asked of the running servers.

The requests come from the control machine over HTTP, as a browser's would; SSH is only used to stop and start things.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import http.client
import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

import probe
from probe import DEADLINE_SECONDS, Answer, until

SCENARIO = Path(__file__).parents[1]
GZIP = {"Accept-Encoding": "gzip"}

# As a deploy does it: a new link takes the old one's place with a rename.
SWAP = "cd /run/upstream && ln -s {name}.sock one.new && mv -T one.new one.sock"
# Ends when an instance accepts connections.
AWAIT_INSTANCE = (
    'timeout 20 python3 -c "import socket,time\n'
    "while socket.socket(1).connect_ex('/run/upstream/{name}.sock'): time.sleep(0.05)\""
)

Done = subprocess.CompletedProcess[str]
Run = Callable[[str], str]
Play = Callable[..., Done]
Stats = Callable[[str], dict[str, Any]]
State = Callable[[], str]


class Edge:
    """A server's nginx, as the network sees it."""

    def __init__(self, address: str) -> None:
        self.address = address

    def connect(self, port: int = 80) -> http.client.HTTPConnection:
        """Open a connection that is kept for several requests."""
        return http.client.HTTPConnection(self.address, port, timeout=DEADLINE_SECONDS)

    def ask(
        self,
        path: str,
        host: str = "one.test",
        *,
        method: str = "GET",
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        connection: http.client.HTTPConnection | None = None,
        port: int = 80,
    ) -> Answer:
        """Send a request, on a connection of its own where none is given."""
        with contextlib.ExitStack() as stack:
            if connection is None:
                connection = stack.enter_context(contextlib.closing(self.connect(port)))
            connection.request(method, path, body, {"Host": host, **(headers or {})})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())

    def send(self, request: str, port: int = 80) -> bytes:
        """Send the bytes of a request as they are; return all that comes back until the connection is closed."""
        with socket.create_connection((self.address, port), timeout=DEADLINE_SECONDS) as raw:
            raw.sendall(request.encode())
            return b"".join(iter(lambda: raw.recv(65536), b""))

    def listens(self, port: int) -> bool:
        """Whether anything accepts connections on a port."""
        with socket.socket() as trial:
            return trial.connect_ex((self.address, port)) == 0


@pytest.fixture(scope="module")
def edge(host: Host) -> Edge:
    """The server under test, by its address."""
    return Edge(host.ansible.get_variables()["ansible_host"])


@pytest.fixture
def run(host: Host) -> Run:
    """Run a command on the server as root; return what it prints."""

    def command(line: str) -> str:
        return host.check_output(line)

    return command


@pytest.fixture
def stats(run: Run) -> Stats:
    """Ask an instance itself, past nginx, how often it was asked what and how many connections it has."""
    program = (
        "import socket,sys;s=socket.socket(socket.AF_UNIX);s.connect(sys.argv[1]);"
        "s.sendall(b'GET /stats HTTP/1.0\\r\\n\\r\\n');print(s.makefile().read().split('\\n\\n')[-1])"
    )
    return lambda instance: json.loads(run(f'python3 -c "{program}" /run/upstream/{instance}.sock'))


@pytest.fixture
def dead_application(run: Run) -> Iterator[None]:
    """Stop the first site's instances for the length of a test."""
    run("systemctl stop upstream@blue upstream@green")
    yield
    run("systemctl start upstream@blue upstream@green")
    for name in ("blue", "green"):
        run(AWAIT_INSTANCE.format(name=name))


@pytest.fixture
def play(host: Host) -> Play:
    """Run the scenario's play again for this server; return how it ended and what it printed."""
    return functools.partial(probe.play, SCENARIO / "converge.yml", "--limit", host.backend.host)


@pytest.fixture
def change(host: Host) -> Play:
    """Run an entry point of the role, named by `tasks`, for one site of this server."""
    return functools.partial(probe.play, SCENARIO / "change.yml", "--limit", host.backend.host)


@pytest.fixture
def state(run: Run) -> State:
    """Tell which files nginx has and which processes it is, to compare later."""
    files = "cd /etc/nginx && find . -type f -exec sha256sum {} + | sort -k2; find . -type l"
    return lambda: run(f"{files}; pgrep -a nginx")


def changes(done: Done) -> int:
    """Return the number of changes that a play reports."""
    assert done.returncode == 0, done.stdout + done.stderr
    return int(done.stdout.rpartition("changed=")[2].split()[0])


# --- Hosts


@pytest.mark.parametrize("name", ["one.test", "www.one.test", "ONE.test", "one.test:80"])
def test_a_site_answers_to_each_of_its_names(edge: Edge, name: str) -> None:
    """The names are those of nginx_server_names, in any spelling a client may use."""
    assert edge.ask("/echo", name).json["instance"] in {"blue", "green"}


@pytest.mark.parametrize("port", [80, 8080])
def test_the_second_site_gets_its_own_visitors(edge: Edge, port: int) -> None:
    """On the port it shares and on the one it has alone."""
    assert edge.ask("/echo", "two.test", port=port).json["instance"] == "red"


@pytest.mark.parametrize("port", [80, 8080])
@pytest.mark.parametrize("name", ["unknown.test", "default", "localhost", "one.test.evil.test"])
def test_an_unknown_host_is_closed_without_an_answer(edge: Edge, name: str, port: int) -> None:
    """Neither the first site nor Debian's welcome page answers for names nobody claims."""
    assert edge.send(f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n", port) == b""


def test_the_address_alone_shows_no_site(edge: Edge) -> None:
    """Scanners ask by address, and some without any Host."""
    assert edge.send(f"GET / HTTP/1.1\r\nHost: {edge.address}\r\n\r\n") == b""
    assert edge.send("GET / HTTP/1.0\r\n\r\n") == b""


def test_a_site_answers_over_ipv6(run: Run) -> None:
    """The default of nginx_listen has both kinds of address."""
    program = (
        "import http.client as h;c=h.HTTPConnection('::1',80);"
        "c.request('GET','/static/both.css',headers={'Host':'one.test'});print(c.getresponse().status)"
    )
    assert run(f'python3 -c "{program}"').strip() == "200"


# --- Static files


def test_static_files_survive_a_dead_application(edge: Edge, dead_application: None) -> None:
    """A file is sent by nginx itself; a page gets nginx's own page, whatever the method."""
    assert edge.ask("/static/both.css").body == b"/* release 2 */\n"
    for method in ("GET", "POST", "DELETE"):
        page = edge.ask("/page", method=method, body=b"a=b" if method == "POST" else None)
        assert page.status == 502
        assert b"one.test is restarting" in page.body
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert page.headers["Cache-Control"] == "no-store"


def test_the_error_page_has_no_address_of_its_own(edge: Edge) -> None:
    """It cannot be asked for, so nobody links to it."""
    assert edge.ask("/.slipway/50x.html").status == 404


def test_an_application_that_hangs_gets_the_error_page_as_504(edge: Edge) -> None:
    """The second site's nginx_proxy_read_timeout_seconds is 1."""
    page = edge.ask("/hang", "two.test")
    assert page.status == 504
    assert b"two.test is restarting" in page.body


@pytest.mark.parametrize("code", [404, 500, 502, 503])
def test_the_applications_own_error_pages_pass_through(edge: Edge, code: int) -> None:
    """Only what nginx itself has to say is replaced."""
    page = edge.ask(f"/status/{code}")
    assert (page.status, page.body.decode()) == (code, f"The application's own page for {code}")


def test_files_of_the_previous_release_can_still_be_fetched(edge: Edge) -> None:
    """A page loaded before a deploy asks for them; where both have a file, the current one is sent."""
    assert edge.ask("/static/only-1.css").status == 200
    assert edge.ask("/static/only-2.css").status == 200
    assert edge.ask("/static/both.css").body == b"/* release 2 */\n"


def test_a_static_url_without_a_file_is_the_application_s(edge: Edge) -> None:
    """A package of the application may bring static files of its own, which it serves itself."""
    assert "instance" in edge.ask("/static/none.css").json


def test_static_files_may_be_kept_for_an_hour_and_versioned_ones_for_ever(edge: Edge) -> None:
    """With validators, so that asking again costs little; nothing of the kind on what is missing."""
    plain, versioned = edge.ask("/static/both.css"), edge.ask("/static/both.css?v=2")
    assert plain.headers["Cache-Control"] == "max-age=3600"
    assert "immutable" in ", ".join(versioned.headers.get_all("Cache-Control", []))
    again = edge.ask("/static/both.css", headers={"If-None-Match": plain.headers["ETag"]})
    assert again.status == 304
    assert "Cache-Control" not in edge.ask("/static/none.css?v=2").headers


@pytest.mark.parametrize(
    "name",
    [
        ".env",
        ".git/config",
        "settings.py",
        "settings.pyc",
        "SETTINGS.PY",
        "app.ini",
        "app.env",
        "data.sqlite",
        "data.db",
        "dump.sql",
        "dump.sql.gz",
        "page.html.bak",
        ".page.html.swp",
        "page.html.swp",
        "page.html~",
        "folder.py/.secret",
        "server.key",
    ],
)
def test_files_that_are_no_assets_are_never_sent(edge: Edge, host: Host, name: str) -> None:
    """They are there, and readable for nginx: only the role's rule keeps them."""
    assert host.file(f"/srv/one/current/public/static/{name}").is_file
    for spelling in (name, f"./{name}", f"/{name}", name.replace(".", "%2e")):
        path = f"/static/{spelling}"
        answer = edge.ask(path)
        assert (answer.status, b"secret" in answer.body) == (404, False), path


def test_hidden_files_are_not_asked_of_the_application_either(edge: Edge) -> None:
    """But .well-known is: clients find settings there."""
    assert edge.ask("/.env").status == 404
    assert edge.ask("/a/.git/HEAD").status == 404
    assert edge.ask("/.well-known/security.txt").json["path"] == "/.well-known/security.txt"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../../../../../etc/passwd",
        "/static/..%2f..%2f..%2f..%2f..%2fetc/passwd",
        "/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/static/..%5c..%5cetc/passwd",
        "/static//etc/passwd",
        "/static../etc/passwd",
        "/static../.env",
        "//etc/passwd",
        "/static/%00/etc/passwd",
        "/static/both.css/",
        "/static/",
    ],
)
def test_no_path_leads_out_of_the_static_folder(edge: Edge, path: str) -> None:
    """What nginx sends is below a root; all else is the application's, or nothing."""
    answer = edge.ask(path)
    assert b"root:" not in answer.body
    assert b"secret" not in answer.body
    assert answer.status in {400, 404} or "instance" in answer.json


# --- Compression


@pytest.mark.parametrize(
    "path",
    [
        "/static/only-2.css",
        "/static/app.js",
        "/static/app.mjs",
        "/static/page.json",
        "/static/drawing.svg",
        "/static/fonts/text.ttf",
        "/large.json",
    ],
)
def test_text_is_compressed_for_those_who_accept_it(edge: Edge, path: str) -> None:
    """Files and pages alike; others get the same bytes plain, and caches are told of the difference."""
    packed, plain = edge.ask(path, headers=GZIP), edge.ask(path)
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["Vary"] == "Accept-Encoding"
    assert "Content-Encoding" not in plain.headers
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body)


def test_text_is_compressed_behind_a_proxy_too(edge: Edge) -> None:
    """Nginx by itself does not where the request has a Via header."""
    answer = edge.ask("/large.json", headers={**GZIP, "Via": "1.1 cache"})
    assert answer.headers["Content-Encoding"] == "gzip"


@pytest.mark.parametrize("path", ["/static/picture.png", "/large.png", "/static/tiny.css", "/small.json"])
def test_what_would_not_shrink_is_not_compressed(edge: Edge, path: str) -> None:
    """Pictures are compressed already, and small answers are not worth it."""
    answer = edge.ask(path, headers=GZIP)
    assert answer.status == 200
    assert "Content-Encoding" not in answer.headers


def test_the_precompressed_twin_is_what_is_sent(edge: Edge, run: Run) -> None:
    """Its very bytes, with the type of the file; the file itself to those who do not accept gzip."""
    packed, plain = edge.ask("/static/twin.css", headers=GZIP), edge.ask("/static/twin.css")
    twin = run("od -An -v -tx1 /srv/one/current/public/static/twin.css.gz")
    assert packed.body == bytes.fromhex(twin)
    assert packed.headers["Content-Type"] == "text/css"
    assert gzip.decompress(packed.body) == b"/* compressed ahead of time */\n"
    assert plain.body.startswith(b"1\n2\n")


def test_compression_can_be_switched_off(edge: Edge) -> None:
    """The second site has nginx_gzip: false."""
    assert "Content-Encoding" not in edge.ask("/large.json", "two.test", headers=GZIP).headers


# --- What the application is told


def test_the_application_sees_who_asks_and_for_what(edge: Edge) -> None:
    """The host with the client's port, the scheme, and one client address: that of the connection."""
    with contextlib.closing(edge.connect()) as connection:
        headers = edge.ask("/echo?a=b%20c", "one.test:8123", connection=connection).json["headers"]
        assert connection.sock is not None
        mine = connection.sock.getsockname()[0]
    assert headers["host"] == headers["x-forwarded-host"] == ["one.test:8123"]
    assert headers["x-forwarded-for"] == headers["x-real-ip"] == [mine]
    assert headers["x-forwarded-proto"] == ["http"]
    assert headers["x-forwarded-port"] == ["80"]
    assert edge.ask("/echo?a=b%20c").json["path"] == "/echo?a=b%20c"


def test_a_client_cannot_pass_itself_off_as_another(edge: Edge) -> None:
    """What it says of itself is replaced, or does not get through."""
    lies = {
        "X-Forwarded-For": "203.0.113.7",
        "X-Real-IP": "203.0.113.7",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.test",
        "X-Forwarded-Port": "4444",
        "X-Forwarded-Prefix": "/evil",
        "Forwarded": "for=203.0.113.7;host=evil.test",
    }
    headers = edge.ask("/echo", headers=lies).json["headers"]
    told = json.dumps(headers)
    assert "203.0.113.7" not in told
    assert "evil" not in told
    assert headers["x-forwarded-proto"] == ["http"]
    assert headers["x-forwarded-port"] == ["80"]
    assert len(headers["x-forwarded-for"]) == 1


def test_a_client_cannot_name_another_host_than_the_one_it_reached(edge: Edge) -> None:
    """With a full URL in the request line the Host header counts for nothing (RFC 9112, 3.2.2)."""
    answer = edge.send("GET http://one.test/echo HTTP/1.1\r\nHost: evil.test:81\r\nConnection: close\r\n\r\n")
    assert b'"instance"' in answer
    assert b"evil" not in answer


def test_the_proxy_header_never_reaches_the_application(edge: Edge) -> None:
    """Programs take it for their own proxy setting (https://httpoxy.org)."""
    assert "proxy" not in edge.ask("/echo", headers={"Proxy": "http://203.0.113.7"}).json["headers"]


def test_a_request_above_the_limit_is_refused(edge: Edge, stats: Stats) -> None:
    """The first site's nginx_client_max_body_size is 1m; one at the limit arrives whole."""
    limit = 1024 * 1024
    assert edge.ask("/echo", method="POST", body=bytes(limit)).json["body_bytes"] == limit
    before = [stats(name)["requests"].get("POST /echo") for name in ("blue", "green")]
    # The head alone says it; nginx may close before the rest has been sent.
    head = f"POST /echo HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\nContent-Length: {limit + 1}\r\n\r\n"
    assert edge.send(head).startswith(b"HTTP/1.1 413 ")
    assert [stats(name)["requests"].get("POST /echo") for name in ("blue", "green")] == before


def test_nginx_does_not_tell_its_version(edge: Edge) -> None:
    """Neither in a header nor on its own pages."""
    answer = edge.ask("/static/.env")
    assert answer.headers["Server"] == "nginx"
    assert b"nginx/" not in answer.body


# --- Connections to the application


def test_connections_to_the_application_are_kept(edge: Edge) -> None:
    """One client connection stays with one worker, which uses the connection it has."""
    with contextlib.closing(edge.connect()) as connection:
        numbers = {edge.ask("/echo", connection=connection).json["connection"] for _ in range(5)}
    assert len(numbers) == 1


def test_a_post_is_never_sent_twice(edge: Edge, stats: Stats) -> None:
    """Not even on a kept connection that the application closes, where a GET is sent again."""

    def posts() -> int:
        return sum(stats(name)["requests"].get("POST /drop", 0) for name in ("blue", "green"))

    before = posts()
    with contextlib.closing(edge.connect()) as connection:
        assert edge.ask("/echo", connection=connection).status == 200
        assert edge.ask("/drop", method="POST", body=b"a=b", connection=connection).status == 502
    assert posts() == before + 1


def test_a_get_is_sent_again_where_a_kept_connection_proves_dead(edge: Edge) -> None:
    """The application closes it the moment a request arrives; a new connection is answered."""
    with contextlib.closing(edge.connect()) as connection:
        assert edge.ask("/echo", connection=connection).status == 200
        assert edge.ask("/fresh", connection=connection).status == 200


def test_a_restart_of_the_application_costs_the_next_visitor_nothing(edge: Edge, run: Run) -> None:
    """Nginx notices that the connections it kept have ended."""
    with contextlib.closing(edge.connect()) as connection:
        name = edge.ask("/echo", connection=connection).json["instance"]
        run(f"systemctl restart upstream@{name}")
        run(AWAIT_INSTANCE.format(name=name))
        assert edge.ask("/echo", connection=connection).status == 200


def test_moving_the_socket_moves_the_traffic_without_a_reload(edge: Edge, run: Run, state: State) -> None:
    """Every request on the way is answered, and nginx has the same processes as before."""
    before = state()
    for name in ("green", "blue", "green", "blue"):
        run(SWAP.format(name=name))
        assert edge.ask("/echo").status == 200
        with contextlib.closing(edge.connect()) as connection:

            def moved(connection: http.client.HTTPConnection = connection, name: str = name) -> bool:
                return bool(edge.ask("/echo", connection=connection).json["instance"] == name)

            until(moved, f"{name} answers", 2 + 1)
    assert state() == before


def test_a_retired_instance_loses_its_connections_in_seconds(edge: Edge, run: Run, stats: Stats) -> None:
    """A deploy waits for that: nginx_upstream_keepalive_time_seconds and -timeout_seconds, 2 each, bound it."""
    with contextlib.ExitStack() as stack:
        old = edge.ask("/echo").json["instance"]
        new = {"blue": "green", "green": "blue"}[old]
        for _ in range(8):
            connection = stack.enter_context(contextlib.closing(edge.connect()))
            assert edge.ask("/echo", connection=connection).status == 200
        assert stats(old)["open"] > 0
        run(SWAP.format(name=new))
        until(lambda: stats(old)["open"] == 0, f"{old} has no connection left", 2 + 2 + 1)


# --- The program


def test_nginx_is_there_after_a_reboot(host: Host) -> None:
    """Enabled as well as running."""
    assert host.service("nginx").is_enabled
    assert host.service("nginx").is_running


def test_workers_may_open_the_files_they_are_told(run: Run) -> None:
    """The limit is that of the running process, not only of the file."""
    limit = run("grep '^Max open files' /proc/$(pgrep --newest -f '[n]ginx: worker')/limits")
    assert limit.split()[3] == "16384"


def test_logs_are_not_for_everybody(run: Run) -> None:
    """They tell who visited what; another application's user on the server must not read them."""
    modes = run("stat --format '%a %n' /var/log/nginx/*.log").splitlines()
    assert "640 /var/log/nginx/one.access.log" in modes
    assert [line for line in modes if not line.startswith("640 ")] == []


# --- Maintenance: the third site's


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
def test_visitors_are_told_of_maintenance_and_when_to_come_back(edge: Edge, method: str) -> None:
    """Also after a reboot. Nothing may keep the page, and a search engine forgets nothing because of it."""
    page = edge.ask("/echo", "third.test", method=method, body=b"a=b" if method == "POST" else None)
    assert (page.status, page.headers["Retry-After"]) == (503, "300")
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert method == "HEAD" or b"<h1>Closed for maintenance</h1>" in page.body


def test_static_files_are_sent_in_maintenance_and_nothing_else_reaches_the_application(edge: Edge) -> None:
    """Such as a page that is still open in a browser needs them."""
    assert edge.ask("/static/both.css", "third.test").status == 200
    assert edge.ask("/static/none.css", "third.test").status == 503
    assert edge.ask("/.slipway/maintenance.html", "third.test").status == 404


def test_a_path_that_is_left_open_is_answered_by_the_application(edge: Edge) -> None:
    """A monitor's, say; and that path alone."""
    assert edge.ask("/small.json?full=1", "third.test").status == 200
    assert edge.ask("/small.json/more", "third.test").status == 503


def test_another_site_is_not_in_maintenance(edge: Edge) -> None:
    """The flag is a site's own."""
    assert edge.ask("/echo").status == 200


@pytest.mark.once
def test_maintenance_begins_and_ends_at_once_without_a_reload(edge: Edge, change: Play, state: State) -> None:
    """And a second time nothing changes."""
    before = state()
    site = {"tasks": "maintenance", "nginx_site_name": "third"}
    assert changes(change(**site, nginx_maintenance=False)) == 1
    assert edge.ask("/echo", "third.test").status == 200
    assert changes(change(**site, nginx_maintenance=False)) == 0
    assert changes(change(**site, nginx_maintenance=True)) == 1
    assert edge.ask("/echo", "third.test").status == 503
    assert changes(change(**site, nginx_maintenance=True)) == 0
    assert state() == before


@pytest.mark.once
def test_a_site_that_is_not_there_cannot_be_closed(change: Play) -> None:
    """Nobody would see the page."""
    done = change(tasks="maintenance", nginx_site_name="fourth")
    assert done.returncode != 0
    assert "serves no site fourth" in " ".join(done.stdout.split())


# --- Removal


@pytest.mark.once
def test_a_site_is_removed_with_its_port_pages_and_logs(
    edge: Edge, run: Run, play: Play, change: Play, state: State
) -> None:
    """No other site notices, a dry run removes nothing, and a second run finds nothing to remove."""
    site = {"tasks": "remove", "nginx_site_name": "site-two"}
    before = state()
    assert changes(change("--check", **site)) > 0
    assert state() == before
    assert "site-two" in run("ls /var/log/nginx /etc/nginx/slipway")
    assert changes(change(**site)) > 0
    try:
        until(lambda: not edge.listens(8080), "8080 is closed")
        assert edge.send("GET / HTTP/1.1\r\nHost: two.test\r\n\r\n") == b""
        assert edge.ask("/echo").status == 200
        assert edge.ask("/echo", "third.test").status == 503
        assert run("find /etc/nginx /var/log/nginx -name '*two*' -o -name 'default-8080'") == ""
        assert changes(change(**site)) == 0
    finally:
        assert changes(play()) > 0
    assert edge.ask("/echo", "two.test", port=8080).json["instance"] == "red"


@pytest.mark.once
def test_a_removal_that_nginx_refuses_removes_nothing(edge: Edge, run: Run, change: Play, state: State) -> None:
    """Another site may need what the site brings, such as its upstream."""
    run("echo 'server { listen 8092; location / { proxy_pass http://site-two; } }' > /etc/nginx/conf.d/needs.conf")
    try:
        before = state()
        done = change(tasks="remove", nginx_site_name="site-two")
        assert done.returncode != 0
        assert "nginx refuses this configuration, so no file was changed" in done.stdout
        assert state() == before
        assert edge.ask("/echo", "two.test").status == 200
    finally:
        run("rm /etc/nginx/conf.d/needs.conf")


# --- Changes


@pytest.mark.once
def test_a_second_dry_run_sees_nothing_to_change(play: Play) -> None:
    """With --diff, as one looks before one leaps."""
    assert changes(play("--check", "--diff")) == 0


@pytest.mark.once
def test_a_configuration_that_nginx_refuses_changes_nothing(edge: Edge, play: Play, state: State) -> None:
    """Also where other files of the same change are fine; the reader gets nginx's own words."""
    before = state()
    done = play(one_client_max_body_size="16 parsecs", nginx_worker_connections=2048)
    assert done.returncode != 0
    assert "nginx refuses this configuration, so no file was changed" in done.stdout
    assert 'invalid number of arguments in "client_max_body_size"' in done.stdout
    assert "/etc/nginx/sites-enabled/one:" in done.stdout
    assert state() == before
    assert edge.ask("/echo").status == 200


@pytest.mark.once
def test_a_dry_run_foresees_what_nginx_would_refuse(play: Play) -> None:
    """So that the leap need not be tried."""
    done = play("--check", one_client_max_body_size="16 parsecs")
    assert done.returncode != 0
    assert "nginx refuses this configuration" in done.stdout


@pytest.mark.once
def test_two_sites_cannot_claim_one_name(edge: Edge, play: Play, state: State) -> None:
    """Nginx only warns of it, and would send all visitors to one of the two."""
    before = state()
    done = play(two_server_name="www.one.test")
    assert done.returncode != 0
    assert 'conflicting server name "www.one.test"' in done.stdout
    assert "nginx_server_names" in done.stdout
    assert state() == before


@pytest.mark.once
@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1"])
def test_a_port_that_another_program_has_is_refused(address: str, run: Run, play: Play, state: State) -> None:
    """Nginx would test such a configuration as good, and then go on with the old one without a word."""
    before = state()
    run(f"systemd-run --collect --unit=squatter python3 -m http.server --bind {address} 8090")
    try:
        until(lambda: "python3" in run("ss -Hltnp sport = :8090"), "the program listens")
        done = play(two_port="8090")
    finally:
        run("systemctl stop squatter")
    assert done.returncode != 0
    assert "nginx_listen: 8090 is taken by python3" in done.stdout
    assert state() == before


@pytest.mark.once
def test_an_address_that_no_site_listens_on_any_more_is_closed(edge: Edge, play: Play) -> None:
    """The second site moves to another port and back; the one left behind is free for others."""
    unknown = "GET / HTTP/1.1\r\nHost: unknown.test\r\n\r\n"
    assert changes(play(two_port="8091")) > 0
    assert edge.ask("/echo", "two.test", port=8091).json["instance"] == "red"
    assert edge.send(unknown, 8091) == b""
    until(lambda: not edge.listens(8080), "8080 is closed")
    assert changes(play()) > 0
    assert edge.ask("/echo", "two.test", port=8080).json["instance"] == "red"
    until(lambda: not edge.listens(8091), "8091 is closed")


@pytest.mark.once
def test_arguments_that_cannot_work_are_refused_together(play: Play, state: State) -> None:
    """Each by its name, before anything is changed."""
    before = state()
    wrong = {
        "nginx_site_name": "default",
        "nginx_server_names": ["https://one.test/"],
        "nginx_listen": ["80 default_server"],
        "nginx_upstream_socket": "/run/" + "x" * 104,
        "nginx_static_url": "static",
        "nginx_static_roots": ["public/"],
        "nginx_static_expires": "one hour",
        "nginx_worker_connections": 16385,
        "nginx_error_page_template": "/nowhere/50x.html.j2",
        "nginx_maintenance_page_template": "/nowhere/maintenance.html.j2",
        "nginx_maintenance_flag": "maintenance",
        "nginx_maintenance_open_paths": ["/"],
        "nginx_maintenance_retry_after_seconds": 0,
    }
    done = play(**wrong)
    assert done.returncode != 0
    assert [name for name in wrong if f"{name}:" not in done.stdout] == []
    assert state() == before


@pytest.mark.once
def test_an_argument_of_the_wrong_type_is_refused(play: Play) -> None:
    """By the argument specs."""
    done = play(nginx_upstream_keepalive="many")
    assert done.returncode != 0
    assert "nginx_upstream_keepalive" in done.stdout


@pytest.mark.once
def test_a_reload_that_was_missed_is_made_good(edge: Edge, run: Run, play: Play, state: State) -> None:
    """A run that was cut after the files were written leaves its mark; the next reloads, and only that one."""
    before = state()
    run("touch /run/slipway-nginx-reload-due")
    assert changes(play()) > 0
    until(lambda: state() != before, "nginx has new workers")
    assert changes(play()) == 0


@pytest.mark.once
def test_a_broken_file_of_somebody_else_is_never_reloaded(edge: Edge, run: Run, play: Play) -> None:
    """It appears after the role's files were judged; the handlers still look before they reload."""
    workers = run("pgrep nginx")
    run("echo nonsense > /etc/nginx/conf.d/broken.conf && touch /run/slipway-nginx-reload-due")
    try:
        done = play()
        assert done.returncode != 0
        assert "in /etc/nginx/conf.d/broken.conf" in done.stdout
        assert run("pgrep nginx") == workers
        assert edge.ask("/echo").status == 200
    finally:
        run("rm /etc/nginx/conf.d/broken.conf")
        play()
