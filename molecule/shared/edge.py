"""What the tests of an edge need: requests to it, and the applications behind it.

The requests come from the control machine, as a browser's would; SSH is only used to stop and start things. Servers in the
group `https` have all sites on HTTPS: every request goes there, on port 443 in the place of 80.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from testinfra.host import Host

import probe
from probe import DEADLINE_SECONDS, Answer, until


@dataclass(frozen=True)
class Server:
    """A kind of edge: its role, its program, and what it says where no application answers."""

    role: str
    program: str
    folder: str
    extra: str
    away: int
    hung: int
    unknown: bytes  # how the answer to an unknown host begins

    @property
    def logs(self) -> str:
        """Where its logs are."""
        return f"/var/log/{self.program}"


SERVER = {
    "nginx": Server("nginx", "nginx", "/etc/nginx", "conf.d", 502, 504, b""),
    "apache": Server("apache", "apache2", "/etc/apache2", "conf-enabled", 503, 502, b"HTTP/1.1 421 "),
}[os.environ["MOLECULE_SCENARIO_NAME"]]
GZIP = {"Accept-Encoding": "gzip"}
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
BROWSER_CODINGS = {"Accept-Encoding": "gzip, deflate, br, zstd"}


def basic(user: str, password: str) -> dict[str, str]:
    """Return the header that shows a name and a password."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


# Who may log in where the scenarios ask for a password.
ADA = basic("ada", "correct horse")
# As a deploy does it: a new link takes the old one's place with a rename.
SWAP = "cd /run/upstream && ln -s {name}.sock one.new && mv -T one.new one.sock"
# Ends when an instance accepts connections.
AWAIT_INSTANCE = (
    'timeout 60 python3 -c "import socket,time\n'
    "while socket.socket(1).connect_ex('/run/upstream/{name}.sock'): time.sleep(0.05)\""
)

Done = subprocess.CompletedProcess[str]
Run = Callable[[str], str]
Play = Callable[..., Done]
Stats = Callable[[str], dict[str, Any]]
State = Callable[[], str]
Visit = Callable[..., dict[str, Any]]


class Connection(http.client.HTTPConnection):
    """A connection to an edge that may be kept; opened again by http.client where the edge has closed it."""

    def __init__(self, edge: Edge, name: str, port: int) -> None:
        super().__init__(edge.address, port, timeout=DEADLINE_SECONDS)
        self.edge, self.name = edge, name

    def connect(self) -> None:
        """Open it, with TLS where the edge has that."""
        self.sock = self.edge.open(self.name, self.port)


class Edge:
    """A server's edge, as the network sees it. scheme, port: what it serves all sites with."""

    def __init__(self, address: str, *, https: bool) -> None:
        self.address = address
        self.scheme, self.port = ("https", 443) if https else ("http", 80)

    def open(self, name: str = "one.test", port: int = 0) -> socket.socket:
        """Open a connection; with TLS, to the site of this name. Whose certificate it is, other tests judge."""
        plain = socket.create_connection((self.address, port or self.port), timeout=DEADLINE_SECONDS)
        if self.scheme == "http":
            return plain
        try:
            return ssl._create_unverified_context().wrap_socket(plain, server_hostname=name)
        except OSError:
            plain.close()
            raise

    def connect(self, name: str = "one.test", port: int = 0) -> http.client.HTTPConnection:
        """Return a connection that is kept for several requests to the site of this name."""
        return Connection(self, name, port or self.port)

    def ask(
        self,
        path: str,
        host: str = "one.test",
        *,
        method: str = "GET",
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        connection: http.client.HTTPConnection | None = None,
        port: int = 0,
    ) -> Answer:
        """Send a request, on a new connection where none is given."""
        with contextlib.ExitStack() as stack:
            if connection is None:
                connection = stack.enter_context(contextlib.closing(self.connect(host.partition(":")[0], port)))
            connection.request(method, path, body, {"Host": host, **(headers or {})})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())

    def send(self, request: str, port: int = 0) -> bytes:
        """Send the bytes of a request as they are; return all that comes back until the connection is closed.

        With TLS, to the name that the request asks for. Of an edge that does not know the name, nothing comes back.
        """
        name = re.search(r"^[A-Z]+ http://([\w.-]+)|^Host: (?:.*@)?([\w.-]+)", request, re.IGNORECASE | re.MULTILINE)
        try:
            opened = self.open(name.group(1) or name.group(2) if name else self.address, port)
        except ssl.SSLError as error:
            if error.reason != "TLSV1_UNRECOGNIZED_NAME":
                raise
            return b""
        with opened:
            opened.sendall(request.encode())
            return b"".join(iter(lambda: opened.recv(65536), b""))

    def listens(self, port: int) -> bool:
        """Whether anything accepts connections on a port."""
        with socket.socket() as trial:
            return trial.connect_ex((self.address, port)) == 0


@pytest.fixture(scope="module")
def edge(host: Host) -> Edge:
    """The server under test, by its address."""
    variables = host.ansible.get_variables()
    return Edge(variables["ansible_host"], https="https" in variables["group_names"])


VISIT = """
import http.client, json, socket, ssl, sys
address, port, host, path, headers = json.loads(sys.argv[1])
connection = http.client.HTTPConnection(address, port, timeout=60)
connection.connect()
if port == 443:
    connection.sock = ssl._create_unverified_context().wrap_socket(connection.sock, server_hostname=host)
connection.request("GET", path, headers={"Host": host, **headers})
answer = connection.getresponse()
print(json.dumps({"status": answer.status, "headers": dict(answer.headers), "body": answer.read().decode()}))
"""


@pytest.fixture
def visit(host: Host, edge: Edge) -> Visit:
    """Ask from the server itself, which is a trusted proxy of the second site."""

    def ask(path: str, name: str = "two.test", address: str = "127.0.0.1", **headers: str) -> dict[str, Any]:
        said = {key.replace("_", "-"): value for key, value in headers.items()}
        plan = json.dumps([address, edge.port, name, path, said])
        return dict(json.loads(host.check_output("python3 -c %s %s", VISIT, plan)))

    return ask


@pytest.fixture
def run(host: Host) -> Run:
    """Run a command on the server as root; return what it prints."""

    def command(line: str) -> str:
        return host.check_output(line)

    return command


@pytest.fixture
def stats(run: Run) -> Stats:
    """Ask an instance itself, past the edge, how often it was asked what and how many connections it has."""
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
    """Run the scenario's play again for this server, for some of its sites; return how it ended and what it printed."""
    return functools.partial(
        probe.play, probe.ROOT / "molecule" / SERVER.role / "converge.yml", "--limit", host.backend.host
    )


@pytest.fixture
def change(host: Host) -> Play:
    """Run an entry point of the role, named by `tasks`, for one site of this server."""
    return functools.partial(
        probe.play, probe.ROOT / "molecule" / SERVER.role / "change.yml", "--limit", host.backend.host
    )


@pytest.fixture
def processes(run: Run) -> State:
    """Tell which processes the edge is, to compare later, once those of a reload are all there and the old ones gone."""
    workers = 256 // 64 if SERVER.role == "apache" else int(run("nproc"))
    # nginx has processes that look after its cache, too, and one of them only for its first minute.
    program = "apache2" if SERVER.role == "apache" else "--full 'nginx: (master|worker) process'"

    def settled() -> str:
        found = ""

        def is_settled() -> bool:
            nonlocal found
            found = run(f"pgrep {program}")
            # Of a worker that ends, the socket is closed before its last requests are.
            listening = run("ss --no-header --listening --tcp --numeric --processes 'sport = :80'")
            return len(found.split()) == 1 + workers and all(f"pid={pid}," in listening for pid in found.split())

        until(is_settled, f"{SERVER.program} has {workers} workers")
        return found

    return settled


@pytest.fixture
def state(run: Run, processes: State) -> State:
    """Tell which files the edge has and which processes it is, to compare later."""
    files = f"cd {SERVER.folder} && find . -type f -exec sha256sum {{}} + | sort -k2; find . -type l"
    return lambda: run(files) + processes()


def changes(done: Done) -> int:
    """Return the number of changes that a play reports."""
    assert done.returncode == 0, done.stdout + done.stderr
    return int(done.stdout.rpartition("changed=")[2].split()[0])
