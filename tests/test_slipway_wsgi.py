"""What the file that every app server loads does between the edge and the application."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.slipway.flask.plugins.module_utils.engine.gate import WEAK_KEY

from plugin import ROOT

TEMPLATE = (ROOT / "roles/app/templates/slipway_wsgi.py.j2").read_text()
APPLICATION = """
config = {"APPLICATION_ROOT": "/"} # as Flask has it
def application(environ, start_response):
    start_response("200 OK", [])
    return [f"{environ['SCRIPT_NAME']} {environ['PATH_INFO']} {config}".encode()]
application.config = config
"""
WRAPPED = """
class Middleware:
    def __init__(self, app):
        self.app = app
    def __call__(self, environ, start_response):
        return self.app(environ, start_response)
application = Middleware(Middleware(application))
"""
# The example application's interpreter: the tests' own has no Flask.
FLASK = str(ROOT / ".venv-app/bin/python")
SHOP = """
from flask import Flask, request
from werkzeug.middleware.proxy_fix import ProxyFix
application = Flask(__name__)
@application.route("/cart")
def cart():
    return [request.remote_addr, request.scheme, request.host, request.environ["SERVER_PORT"], request.script_root]
"""
ASK = """
import json, sys
from slipway_wsgi import application
from werkzeug.test import Client
print(Client(application).get(sys.argv[1], environ_overrides=json.loads(sys.argv[2])).text)
"""
Ask = Callable[..., tuple[str, str, str]]
Load = Callable[..., Any]


def rendered(module: str, prefix: str) -> str:
    """Return the file for an application and a prefix."""
    variables = {"app_module": module, "app_url_prefix": prefix}
    return str(Templar(loader=DataLoader(), variables=variables).template(trust_as_template(TEMPLATE)))


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Return a function that loads the file as the app servers do, for an application and a prefix; it returns what they call."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def loaded(application: str, prefix: str = "") -> Any:
        (tmp_path / "told_site.py").write_text(application)
        monkeypatch.delitem(sys.modules, "told_site", raising=False)
        names: dict[str, Any] = {}
        exec(rendered("told_site", prefix), names)
        return names["application"]

    return loaded


@pytest.fixture
def ask(load: Load) -> Ask:
    """Return a function that requests a path; it returns status, body and Location."""

    def request(prefix: str, path: str, query: str = "", application: str = APPLICATION) -> tuple[str, str, str]:
        said: list[Any] = []
        environ = {"SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": query, "wsgi.input": io.BytesIO()}
        answer = load(application, prefix)(environ, lambda *arguments: said.extend(arguments))
        return said[0], b"".join(answer).decode(), dict(said[1]).get("Location", "")

    return request


def test_below_the_prefix_it_is_the_script_name_and_the_rest_the_path(ask: Ask) -> None:
    assert ask("/shop", "/shop/cart")[1].startswith("/shop /cart ")
    assert ask("/a/b", "/a/b/")[1].startswith("/a/b / ")


def test_flask_s_session_has_its_cookie_below_the_prefix(ask: Ask) -> None:
    """Otherwise two applications of one domain would take each other's."""
    assert "{'APPLICATION_ROOT': '/shop'}" in ask("/shop", "/shop/")[1]
    assert "{'APPLICATION_ROOT': '/shop'}" in ask("/shop", "/shop/", application=APPLICATION + WRAPPED)[1]


@pytest.mark.parametrize("path", ["/cart", "/shopping", "/x/shop/", "//shop/", "/x/../shop/"])
def test_another_path_is_not_the_application_s(ask: Ask, path: str) -> None:
    assert ask("/shop", path)[0] == "404 Not Found"


def test_the_prefix_alone_and_the_root_lead_to_the_application(ask: Ask) -> None:
    assert ask("/shop", "/shop", "a=1") == ("308 Permanent Redirect", "", "/shop/?a=1")
    assert ask("/shop", "/") == ("302 Found", "", "/shop/")


def test_without_a_prefix_each_path_is_the_application_s(ask: Ask) -> None:
    assert ask("", "/shop/cart")[:2] == ("200 OK", " /shop/cart {'APPLICATION_ROOT': '/'}")


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ([("content-type", "text/event-stream; charset=utf-8")], "no"),
        ([("Content-Type", "text/event-stream"), ("X-Accel-Buffering", "yes")], "yes"),
        ([("Content-Type", "text/html")], None),
    ],
)
def test_nginx_is_asked_to_pass_the_events_of_a_stream_on(
    load: Load, headers: list[tuple[str, str]], said: str | None
) -> None:
    """Over HTTPS it would wait for more; what the application has asked for itself stays."""
    started: list[Any] = []
    application = (
        f"def application(environ, start_response):\n    start_response('200 OK', {headers!r})\n    return []\n"
    )
    load(application)({"PATH_INFO": "/"}, lambda *arguments: started.extend(arguments))
    assert dict(started[1]).get("X-Accel-Buffering") == said


@pytest.mark.parametrize("prefix", ["", "/shop"])
@pytest.mark.parametrize(
    "proxy_fix", ["", "x_for=1, x_proto=1, x_host=1", "x_for=1, x_proto=1, x_host=1, x_port=1, x_prefix=1"]
)
@pytest.mark.parametrize(
    ("scheme", "host", "port"), [("https", "site.test", "443"), ("http", "site.test:8080", "8080")]
)
def test_the_visitor_is_the_same_with_proxy_fix_and_without(
    tmp_path: Path, prefix: str, proxy_fix: str, scheme: str, host: str, port: str
) -> None:
    fixed = f"application.wsgi_app = ProxyFix(application.wsgi_app, {proxy_fix})\n" if proxy_fix else ""
    (tmp_path / "shop.py").write_text(SHOP + fixed)
    (tmp_path / "slipway_wsgi.py").write_text(rendered("shop", prefix))
    headers = {"Host": host, "X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": scheme}
    headers |= {"X-Forwarded-Host": host, "X-Forwarded-Port": port}
    # What an app server makes of a request on a unix socket, with the headers of the edge.
    asked = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    asked |= {"REMOTE_ADDR": "", "wsgi.url_scheme": "http", "SERVER_NAME": "site.test", "SERVER_PORT": "80"}
    command = [FLASK, "-c", ASK, f"{prefix}/cart", json.dumps(asked)]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert json.loads(answer) == ["203.0.113.7", scheme, host, port, prefix]


@pytest.mark.parametrize(
    ("setting", "weak"),
    [
        ("application.secret_key = None", True),  # as Flask has it, also for an application without sessions
        ("application.secret_key = 'dev'", True),
        ("application.secret_key = b'123456789012345'", True),
        ("application.secret_key = '1234567890123456'", False),
        ("application.secret_key = b'1234567890123456'", False),
        (f"application.secret_key = 'dev'\n{WRAPPED}", True),
        (f"application.secret_key = '1234567890123456'\n{WRAPPED}", False),
        ("", False),  # it is not Flask's
    ],
)
def test_a_secret_key_that_can_be_guessed_is_told_to_the_gate_and_never_through_the_edge(
    load: Load, setting: str, *, weak: bool
) -> None:
    application = load(f"{APPLICATION}\n{setting}\n")
    for through_edge in ({}, {"HTTP_X_FORWARDED_FOR": "203.0.113.7"}):
        started: list[Any] = []
        environ = {"SCRIPT_NAME": "", "PATH_INFO": "/", **through_edge}
        application(environ, lambda *arguments, said=started: said.extend(arguments))
        assert (WEAK_KEY in dict(started[1])) is (weak and not through_edge)
