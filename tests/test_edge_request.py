"""The module edge_request, which asks a site on real sockets whatever DNS says of its name."""

from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.slipway.flask.plugins.modules.edge_request import look, wrong_redirect

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


def test_a_site_on_http_is_asked_by_its_name(plain: Server) -> None:
    plain.answer = 404, {}
    answer = look(plain.address, "127.0.0.1:1", "book.test", "/healthz?all", 30)
    assert answer == {"status": 404, "https": False, "location": "", "retry_after": ""}
    assert plain.asked == ["book.test /healthz?all"]


def test_a_site_on_https_is_asked_there(plain: Server, secure: Server) -> None:
    plain.answer = 308, {"Location": "https://book.test:8443/healthz"}
    secure.answer = 503, {"Retry-After": "600"}
    answer = look(plain.address, secure.address, "Book.test", "/healthz", 30)
    assert answer == {"status": 503, "https": True, "location": "", "retry_after": "600"}
    assert secure.asked == ["book.test", "book.test:8443 /healthz"]


@pytest.mark.parametrize("location", ["/login", "http://book.test/login", "https://login.test/"])
def test_a_redirect_elsewhere_is_an_answer(plain: Server, secure: Server, location: str) -> None:
    plain.answer = 302, {"Location": location}
    assert look(plain.address, secure.address, "book.test", "/", 30)["status"] == 302
    assert secure.asked == []


@pytest.mark.parametrize("status", [301, 302, 307])
def test_an_application_may_want_https_before_there_is_any(plain: Server, status: int) -> None:
    """As it does at the first deploy, whose certificate comes after it, and behind a proxy that ends TLS."""
    plain.answer = status, {"Location": "https://book.test/"}
    answer = look(plain.address, "127.0.0.1:1", "book.test", "/", 30)
    assert answer == {"status": status, "https": False, "location": "https://book.test/", "retry_after": ""}


@pytest.mark.parametrize("how", ["refuses", "closes"])
def test_so_it_may_where_other_sites_have_https(plain: Server, secure: Server, how: str) -> None:
    """nginx closes a connection without a word where a site has its certificate by the server's address."""
    setattr(secure, how, True)
    plain.answer = 302, {"Location": "https://book.test/"}
    assert look(plain.address, secure.address, "book.test", "/", 30)["location"] == "https://book.test/"
    plain.answer = 308, {"Location": "https://book.test/"}
    with pytest.raises(
        OSError, match=r"it redirects to https://book\.test/, as the web server does \(308\), and there: "
    ):
        look(plain.address, secure.address, "book.test", "/", 30)


def test_where_the_edge_has_no_https_the_redirect_is_the_application_s(plain: Server) -> None:
    plain.answer = 308, {"Location": "https://book.test/"}
    answer = look(plain.address, "", "book.test", "/", 30)
    assert answer == {"status": 308, "https": False, "location": "https://book.test/", "retry_after": ""}


def test_no_answer_is_an_error(plain: Server) -> None:
    plain.answer = 308, {"Location": "https://book.test/"}
    with pytest.raises(OSError, match="refused"):
        look(plain.address, "127.0.0.1:1", "book.test", "/", 30)


def test_a_site_that_only_redirects_must_lead_where_it_should(plain: Server) -> None:
    plain.answer = 308, {"Location": "https://new.test/shop/healthz?all"}
    answer = look(plain.address, "127.0.0.1:1", "book.test", "/healthz?all", 30)
    assert wrong_redirect(answer, "book.test", "/healthz?all", "https://new.test/shop/") == ""
    assert wrong_redirect(answer, "book.test", "/healthz?all", "https://newer.test") == (
        "edge_redirect_to: book.test/healthz?all should redirect to https://newer.test/healthz?all, and redirects to "
        "https://new.test/shop/healthz?all. Run site.yml, which configures the edge."
    )
    plain.answer = 503, {}
    answer = look(plain.address, "127.0.0.1:1", "book.test", "/", 30)
    assert "and answers 503. Run site.yml" in wrong_redirect(answer, "book.test", "/", "https://new.test")
    assert wrong_redirect(answer, "book.test", "/", "") == ""
