"""An application below the domain of another: what is at its path is its own, and nothing else is."""

from __future__ import annotations

from edge import Edge, Run

FLAG = "/etc/apache2/slipway/below/maintenance"
PAGE = {"Accept": "text/html"}


def test_what_is_at_the_path_is_the_application_s_with_its_own_headers_files_and_limits(edge: Edge, run: Run) -> None:
    for path in ("/public", "/public/", "/public/short/a%2Fb"):
        page = edge.ask(path, "page.test", headers={"X-Forwarded-For": "192.0.2.66", "X_Real_IP": "192.0.2.66"})
        assert page.json["path"] == path
        assert page.json["instance"] != "red"
        assert "192.0.2.66" not in str(page.json)
        assert page.headers["X-Below"] == "yes"
        assert "X-Content-Type-Options" not in page.headers
    file = edge.ask("/public/static/both.css", "page.test")
    assert (file.body, file.headers["X-Below"]) == (b"/* release 2 */\n", "yes")
    for path in ("/public/.env", "/public/static/settings.py"):
        refused = edge.ask(path, "page.test", headers=PAGE)  # the owner has a page for its own
        assert (refused.status, refused.headers["X-Below"]) == (404, "yes")
        assert b"one page" not in refused.body
    assert edge.ask("/public/short", "page.test", method="POST", body=b"x" * 1025).status == 413
    assert "GET /public/.env" in run("cat /var/log/apache2/below.access.log")
    assert "/public/" not in run("cat /var/log/apache2/page.access.log")
    assert "redirects" not in run("cat /var/log/apache2/page.error.log")


def test_the_owner_has_the_rest_of_its_domain(edge: Edge) -> None:
    for path in ("/publicity", "/PUBLIC/short", "/x"):
        page = edge.ask(path, "page.test")
        assert (page.json["instance"], page.json["path"]) == ("red", path)
        assert "X-Below" not in page.headers
        assert page.headers["X-Content-Type-Options"] == "nosniff"


def test_maintenance_closes_the_one_application_and_shows_its_page(edge: Edge, run: Run) -> None:
    run(f"touch {FLAG}")
    try:
        closed = edge.ask("/public/x", "page.test")
        assert (closed.status, closed.headers["Retry-After"], closed.headers["X-Below"]) == (503, "600", "yes")
        assert b"<h1>Closed for maintenance</h1>" in closed.body
        for path in ("/public/healthz", "/public/static/both.css", "/x"):
            assert edge.ask(path, "page.test").status == 200
    finally:
        run(f"rm {FLAG}")
    assert edge.ask("/public/x", "page.test").status == 200
