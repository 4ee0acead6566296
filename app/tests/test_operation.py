"""What whoever runs the application can rely on."""

import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, text

from guestbook.database import make_engine
from guestbook.settings import Settings, SettingsError

FORWARDED = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}
UNREACHABLE = "postgresql://guestbook:geheim@127.0.0.1:1/guestbook"


def test_health_is_ok_while_the_database_answers(client: FlaskClient) -> None:
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.get_json() == {"status": "ok", "database": "ok", "release": "r42"}


def test_health_fails_without_telling_secrets_when_the_database_is_away(
    make_client: Callable[..., FlaskClient],
) -> None:
    answer = make_client(database_url=UNREACHABLE).get("/healthz")
    assert answer.status_code == 503
    assert answer.get_json()["status"] == "failing"
    assert answer.get_json()["database"] == "does not answer (OperationalError)"


def test_health_fails_after_one_second_when_the_database_is_silent(
    make_client: Callable[..., FlaskClient], caplog: pytest.LogCaptureFixture
) -> None:
    """The database's library keeps the time: it is told for how long to wait, and says that it has waited."""
    told = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = make_client(database_url=f"postgresql://127.0.0.1:{silent.getsockname()[1]}/book")
        engine = client.application.extensions["health_engine"]
        event.listen(engine, "do_connect", lambda *arguments: told.append(arguments[-1].get("connect_timeout")))
        assert client.get("/healthz").status_code == 503
    assert told == [1]
    assert "timeout expired" in caplog.text


def test_a_page_without_database_is_a_friendly_503(make_client: Callable[..., FlaskClient]) -> None:
    client = make_client(database_url=UNREACHABLE)
    page = client.get("/")
    assert page.status_code == 503
    assert "closed for a moment" in page.text
    assert client.get("/api/entries").get_json()["error"]


def test_an_unforeseen_error_is_a_friendly_500_and_logged(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    @app.get("/broken")
    def broken() -> str:
        raise ValueError("private detail")

    answer = app.test_client().get("/broken")
    assert answer.status_code == 500
    assert "The ink ran" in answer.text
    assert "private detail" not in answer.text
    assert "private detail" in caplog.text


@pytest.mark.parametrize(("path", "code"), [("/", 200), ("/nothing", 404)])
def test_every_page_says_who_served_it(client: FlaskClient, path: str, code: int) -> None:
    answer = client.get(path)
    assert answer.status_code == code
    for fact in ("r42", socket.gethostname(), str(os.getpid())):
        assert f"<code>{fact}</code>" in answer.text


def test_proxies_are_not_believed_unless_trusted(client: FlaskClient) -> None:
    seen = client.get("/api/whoami", headers=FORWARDED).get_json()
    assert (seen["address"], seen["scheme"]) == ("127.0.0.1", "http")


def test_a_trusted_proxy_tells_address_and_scheme(make_client: Callable[..., FlaskClient]) -> None:
    client = make_client(trusted_proxies=1)
    seen = client.get("/api/whoami", headers=FORWARDED | {"Host": "book.example"}).get_json()
    assert (seen["address"], seen["scheme"]) == ("203.0.113.7", "https")
    assert (seen["host"], seen["root"]) == ("book.example", "https://book.example/")


def test_an_address_made_up_by_the_visitor_is_not_believed(
    make_client: Callable[..., FlaskClient],
) -> None:
    forged = FORWARDED | {"X-Forwarded-For": "198.51.100.1, 203.0.113.7"}
    seen = make_client(trusted_proxies=1).get("/api/whoami", headers=forged).get_json()
    assert seen["address"] == "203.0.113.7"


@pytest.mark.parametrize(("scheme", "secure"), [("http", False), ("https", True)])
def test_the_session_cookie_is_hidden_from_scripts_and_other_sites(
    client: FlaskClient, scheme: str, secure: bool
) -> None:
    cookie = client.get("/", base_url=f"{scheme}://localhost").headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert ("Secure" in cookie) is secure


@pytest.mark.parametrize("path", ["/", "/nothing", "/static/style.css", "/api/entries"])
def test_every_answer_carries_the_security_headers(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"


def test_pages_need_nothing_the_policy_forbids(client: FlaskClient) -> None:
    page = client.get("/").text
    assert " style=" not in page
    assert "<style" not in page
    assert not re.search(r"<script(?! src=\"/)|\son\w+=", page)


def test_static_links_exist_and_change_with_the_content(app: Flask) -> None:
    links = re.findall(r'(?:src|href)="(/static/[^"]+)"', app.test_client().get("/").text)
    assert len(links) >= 4
    for link in links:
        assert re.search(r"\?v=[0-9a-f]{12}$", link)
        assert app.test_client().get(link).status_code == 200


def test_a_changed_static_file_gets_a_new_address(app: Flask, tmp_path: Path) -> None:
    app.static_folder = str(tmp_path)

    def address_of(content: str) -> str:
        (tmp_path / "style.css").write_text(content)
        with app.test_request_context():
            return app.url_for("static", filename="style.css")

    assert address_of("a {}") != address_of("a { color: red }")


def test_making_the_application_does_not_touch_the_database(
    make_client: Callable[..., FlaskClient],
) -> None:
    assert make_client(database_url=UNREACHABLE)


def test_a_connection_lost_in_the_pool_is_not_noticed_by_a_visitor(client: FlaskClient, settings: Settings) -> None:
    if settings.database_url.startswith("sqlite"):
        pytest.skip("SQLite has no connections to lose")
    assert client.get("/").status_code == 200
    with make_engine(settings.database_url).connect() as other:
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity" + (
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert other.execute(text(others)).all()
    assert client.get("/").status_code == 200


def test_models_and_migrations_agree(app: Flask, alembic_config: Config) -> None:
    command.check(alembic_config)


def test_a_deployed_application_without_secret_key_says_so() -> None:
    for deployed in ({"DATABASE_URL": UNREACHABLE}, {"APP_RELEASE": "r42"}):
        with pytest.raises(SettingsError, match="SECRET_KEY is not set"):
            Settings.from_environment(deployed)


def test_a_local_copy_needs_no_settings() -> None:
    settings = Settings.from_environment({})
    assert settings.is_local
    assert settings.secret_key
    assert settings.database_url.startswith("sqlite:///")


@pytest.mark.parametrize(("name", "value"), [("MAX_CONTENT_LENGTH_MB", "0"), ("TRUSTED_PROXIES", "yes")])
def test_a_malformed_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} must be .*{value!r}"):
        Settings.from_environment({name: value})


def test_two_books_on_one_host_keep_their_sessions_apart(
    client: FlaskClient, make_client: Callable[..., FlaskClient]
) -> None:
    books = (client, make_client(name="other"))
    names = {book.get("/").headers["Set-Cookie"].split("=")[0] for book in books}
    assert names == {"guestbook_session", "other_session"}
