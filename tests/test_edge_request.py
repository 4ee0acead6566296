"""The module edge_request, which asks a site on real sockets whatever DNS says of its name."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.slipway.flask.plugins.modules.edge_request import attempt, look, main

from test_certificates import pair


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with what its server was told, and remembers who was asked for."""

    def do_GET(self) -> None:
        """Answer."""
        assert isinstance(self.server, Server)
        self.server.asked.append(f"{self.headers['Host']} {self.path}")
        if self.server.closes:
            self.close_connection = True
            return
        status, headers = self.server.answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(http.server.ThreadingHTTPServer):
    """A server on a port of its own."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.refuses = self.closes = False
        self.answer: tuple[int, dict[str, str]] = 200, {}
        self.address = f"127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


@pytest.fixture
def plain() -> Iterator[Server]:
    """A server on HTTP."""
    server = Server()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Server]:
    """A server on HTTPS, which has a certificate for another host and is asked for no name but its own."""
    server = Server()
    (tmp_path / "pair.pem").write_text("".join(pair(["other.test"])))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pair.pem")

    def named(_: object, name: str, __: object) -> int | None:
        server.asked.append(str(name))
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME if server.refuses else None

    context.sni_callback = named
    server.socket = context.wrap_socket(server.socket, server_side=True)
    yield server
    server.shutdown()
    server.server_close()


def asked(plain: Server, tls_address: str = "127.0.0.1:1", path: str = "/", **options: Any) -> dict[str, Any]:
    """Return what the module is told."""
    return {
        "edge": "nginx on www1",
        "address": plain.address,
        "tls_address": tls_address,
        "tls_expected": False,
        "host": "book.test",
        "path": path,
        "redirects_to": "",
        "timeout": 30,
        **options,
    }


def test_a_site_on_http_is_asked_by_its_name(plain: Server) -> None:
    plain.answer = 404, {}
    answer = look(asked(plain, path="/healthz?all"))
    assert answer == {"status": 404, "https": False, "location": "", "retry_after": ""}
    assert plain.asked == ["book.test /healthz?all"]


def test_a_site_on_https_is_asked_there(plain: Server, secure: Server) -> None:
    plain.answer = 308, {"Location": "https://book.test:8443/healthz"}
    secure.answer = 503, {"Retry-After": "600"}
    answer = look(asked(plain, secure.address, "/healthz", host="Book.test"))
    assert answer == {"status": 503, "https": True, "location": "", "retry_after": "600"}
    assert secure.asked == ["book.test", "book.test:8443 /healthz"]


@pytest.mark.parametrize("location", ["/login", "http://book.test/login", "https://login.test/"])
def test_a_redirect_elsewhere_is_an_answer(plain: Server, secure: Server, location: str) -> None:
    plain.answer = 302, {"Location": location}
    assert look(asked(plain, secure.address))["status"] == 302
    assert secure.asked == []


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_an_application_may_want_https_before_there_is_any(plain: Server, status: int) -> None:
    """As it does at the first deploy, whose certificate comes after it, and behind a proxy that ends TLS."""
    plain.answer = status, {"Location": "https://book.test/"}
    for tls_address in ("127.0.0.1:1", ""):
        answer = look(asked(plain, tls_address))
        assert answer == {"status": status, "https": False, "location": "https://book.test/", "retry_after": ""}


@pytest.mark.parametrize("how", ["refuses", "closes"])
def test_so_it_may_where_other_sites_have_https(plain: Server, secure: Server, how: str) -> None:
    """nginx closes a connection without a word where a site has its certificate by the server's address."""
    setattr(secure, how, True)
    plain.answer = 308, {"Location": "https://book.test/"}
    assert look(asked(plain, secure.address))["location"] == "https://book.test/"
    _, problem = attempt(asked(plain, secure.address, tls_expected=True))
    assert problem.startswith(
        f"nginx on www1 redirects to https://book.test/, but does not answer at {secure.address} ("
    )


def test_a_port_for_https_that_is_closed_is_named(plain: Server) -> None:
    """Not the one for HTTP, which has answered."""
    plain.answer = 308, {"Location": "https://book.test/"}
    assert attempt(asked(plain, "127.0.0.1:1", tls_expected=True))[1] == (
        "nginx on www1 redirects to https://book.test/, but does not answer at 127.0.0.1:1 ([Errno 111] Connection refused). "
        "Run site.yml, which configures the edge."
    )


def test_an_edge_that_is_down_is_named(plain: Server) -> None:
    answer, problem = attempt(asked(plain, address="127.0.0.1:1"))
    assert answer == {}
    assert problem == "nginx on www1 does not answer for book.test/ at 127.0.0.1:1 ([Errno 111] Connection refused)."


@pytest.mark.parametrize(
    ("status", "headers", "problem"),
    [
        (502, {}, "nginx on www1 answers book.test/ with 502."),
        (503, {}, "nginx on www1 answers book.test/ with 503."),
        (503, {"Retry-After": "600"}, ""),
        (404, {}, ""),
    ],
)
def test_an_error_is_a_problem_and_maintenance_is_none(
    plain: Server, status: int, headers: dict[str, str], problem: str
) -> None:
    plain.answer = status, headers
    assert attempt(asked(plain))[1] == problem


def test_a_site_that_only_redirects_must_lead_where_it_should(plain: Server) -> None:
    plain.answer = 308, {"Location": "https://new.test/shop/healthz?all"}
    assert attempt(asked(plain, path="/healthz?all", redirects_to="https://new.test/shop/"))[1] == ""
    assert attempt(asked(plain, path="/healthz?all", redirects_to="https://newer.test"))[1] == (
        "edge_redirect_to: book.test/healthz?all should redirect to https://newer.test/healthz?all, and redirects to "
        "https://new.test/shop/healthz?all. Run site.yml, which configures the edge."
    )
    plain.answer = 503, {}
    assert "and answers 503. Run site.yml" in attempt(asked(plain, redirects_to="https://new.test"))[1]


@pytest.mark.parametrize("live", [True, False])
def test_a_release_that_is_live_is_not_failed_for_the_edge(
    plain: Server, capsys: pytest.CaptureFixture[str], *, live: bool
) -> None:
    """deploy.yml ends well, with a warning; site.yml, which is to bring the site, does not."""
    plain.answer = 502, {}
    with patch_module_args(asked(plain, attempts=2, release_is_live=live)), pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    result = json.loads(said.out)
    problem = "nginx on www1 answers book.test/ with 502."
    assert len(plain.asked) == 2
    assert bool(ended.value.code) is not live
    if live:
        assert result["problem"] == f"The release is live, but visitors may not see it. {problem}"
        # As what is returned and as a warning, which Ansible's own code shows where this process has it.
        assert " ".join((said.out + said.err).split()).count(result["problem"]) == 2
    else:
        assert result["msg"] == problem
