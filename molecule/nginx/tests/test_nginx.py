"""What nginx promises in addition to what every edge does (molecule/shared/edge_promises)."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from testinfra.host import Host

import checkers
from edge import SWAP, Edge, Play, Run, State, Stats
from probe import until

TOO_LARGE = "99999999999g"  # a size, and more than nginx can count

# --- Hosts


@pytest.mark.after_reboot
@pytest.mark.parametrize("port", [0, 8080])  # 0: the edge's usual one
@pytest.mark.parametrize("name", ["unknown.test", "default", "localhost", "one.test.evil.test"])
def test_an_unknown_host_is_closed_without_an_answer(edge: Edge, name: str, port: int) -> None:
    """Neither the first site nor Debian's welcome page answers for names that no site has."""
    assert edge.send(f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n", port) == b""


def test_the_address_alone_shows_no_site(edge: Edge) -> None:
    """Scanners ask by address, and some without any Host."""
    assert edge.send(f"GET / HTTP/1.1\r\nHost: {edge.address}\r\n\r\n") == b""
    assert edge.send("GET / HTTP/1.0\r\n\r\n") == b""


# --- What the application is told


def test_nginx_does_not_tell_its_version(edge: Edge) -> None:
    """Neither in a header nor on its own pages."""
    answer = edge.ask("/static/.env")
    assert answer.headers["Server"] == "nginx"
    assert b"nginx/" not in answer.body


# --- Connections to the application


def test_connections_to_the_application_are_kept(edge: Edge) -> None:
    """One client connection stays with one worker, which uses the connection it has, unless 2 s have passed."""
    with contextlib.closing(edge.connect()) as connection:

        def number() -> int:
            return int(edge.ask("/echo", connection=connection).json["connection"])

        until(lambda: number() == number(), "two requests in a row come on the same connection")


def test_a_post_is_never_sent_twice(edge: Edge, stats: Stats) -> None:
    """Not even on a kept connection that the application closes, where a GET is sent again."""

    def posts() -> int:
        return sum(stats(name)["requests"].get("POST /drop", 0) for name in ("blue", "green"))

    before = posts()
    with contextlib.closing(edge.connect()) as connection:
        assert edge.ask("/echo", connection=connection).status == 200
        assert edge.ask("/drop", method="POST", body=b"a=b", connection=connection).status == 502
    assert posts() == before + 1


def test_a_retired_instance_loses_its_connections_in_seconds(edge: Edge, run: Run, stats: Stats) -> None:
    """A deploy waits for that: nginx_upstream_keepalive_time_seconds and -timeout_seconds, 2 each, bound it."""
    settings = {line.strip() for line in run("nginx -T 2>/dev/null").splitlines()}
    assert {"keepalive_time 2s;", "keepalive_timeout 2s;"} <= settings
    with contextlib.ExitStack() as stack:
        old = edge.ask("/echo").json["instance"]
        new = {"blue": "green", "green": "blue"}[old]
        for _ in range(8):
            connection = stack.enter_context(contextlib.closing(edge.connect()))
            assert edge.ask("/echo", connection=connection).status == 200
        assert stats(old)["open"] > 0
        run(SWAP.format(name=new))
        until(lambda: stats(old)["open"] == 0, f"{old} has no connection left")


def test_a_get_is_sent_again_where_a_kept_connection_proves_dead(edge: Edge) -> None:
    """The application closes it the moment a request arrives; a new connection is answered."""
    with contextlib.closing(edge.connect()) as connection:
        assert edge.ask("/echo", connection=connection).status == 200
        assert edge.ask("/fresh", connection=connection).status == 200


# --- The program


@pytest.mark.after_reboot
def test_workers_may_open_the_files_they_are_told(run: Run) -> None:
    """The limit is that of the running process, not only of the file."""
    limit = run("grep '^Max open files' /proc/$(pgrep --newest -f '[n]ginx: worker')/limits")
    assert limit.split()[3] == "16384"


# --- A user's own directives and templates: the site `page`


def test_directives_of_one_s_own_stand_beside_the_site_and_inside_it(edge: Edge) -> None:
    assert edge.ask("/words", "page.test").body == b"page has no words"
    assert edge.ask("/words", "page.test", headers={"X-Words": "some"}).body == b"some"


def test_a_template_can_extend_the_role_s(edge: Edge) -> None:
    assert edge.ask("/from-a-template", "page.test").body == b"the rest is the role's"
    assert edge.ask("/.git/config", "page.test").status == 404


# --- Changes


def test_a_removal_that_nginx_refuses_removes_nothing(edge: Edge, run: Run, change: Play, state: State) -> None:
    """Another site may need what the site brings, such as its upstream."""
    run("echo 'server { listen 8092; location / { proxy_pass http://site-two; } }' > /etc/nginx/conf.d/needs.conf")
    try:
        before = state()
        done = change(tasks="remove", edge_site_name="site-two")
        assert done.returncode != 0
        assert "nginx refuses this configuration, so no file was changed" in done.stdout
        assert state() == before
        assert edge.ask("/echo", "two.test").status == 200
    finally:
        run("rm /etc/nginx/conf.d/needs.conf")


def test_a_configuration_that_nginx_refuses_changes_nothing(edge: Edge, play: Play, state: State) -> None:
    """Also where other files of the same change are fine; the reader gets nginx's own words."""
    before = state()
    done = play(sites=["one"], one_client_max_body_size=TOO_LARGE, nginx_worker_connections=2048)
    assert done.returncode != 0
    assert "nginx refuses this configuration, so no file was changed" in done.stdout
    assert '"client_max_body_size" directive invalid value' in done.stdout
    assert "/etc/nginx/sites-enabled/one:" in done.stdout
    assert state() == before
    assert edge.ask("/echo").status == 200


@pytest.mark.one_debian
def test_a_dry_run_foresees_what_nginx_would_refuse(play: Play) -> None:
    """So that the leap need not be tried."""
    done = play("--check", sites=["one"], one_client_max_body_size=TOO_LARGE)
    assert done.returncode != 0
    assert "nginx refuses this configuration" in done.stdout


@pytest.mark.one_debian
def test_arguments_that_cannot_work_are_refused_together(play: Play, state: State) -> None:
    """Each by its name, before anything is changed."""
    before = state()
    wrong = {
        "edge_site_name": "default",
        "edge_server_names": ["https://one.test/"],
        "nginx_listen": ["80 default_server"],
        "edge_public_ports": [0],
        "edge_unset_request_headers": ["X-User;"],
        "edge_upstream_socket": "/run/" + "x" * 104,
        "edge_static_url": "static",
        "edge_static_roots": ["public/"],
        "edge_static_kinds": ["css", ".js"],
        "edge_static_forbidden_suffixes": [""],
        "nginx_static_expires": "one hour",
        "nginx_worker_connections": 16385,
        "edge_error_page_template": "/nowhere/50x.html.j2",
        "edge_maintenance_page_template": "/nowhere/maintenance.html.j2",
        "edge_maintenance_flag": "maintenance",
        "edge_maintenance_open_paths": ["/"],
        "edge_maintenance_retry_after_seconds": 0,
    }
    done = play(sites=["one"], **wrong)
    assert done.returncode != 0
    assert [name for name in wrong if f"{name}:" not in done.stdout] == []
    assert state() == before


@pytest.mark.one_debian
def test_an_argument_of_the_wrong_type_is_refused(play: Play) -> None:
    """By the argument specs."""
    done = play(sites=["one"], nginx_upstream_keepalive="many")
    assert done.returncode != 0
    assert "nginx_upstream_keepalive" in done.stdout


def test_gixy_finds_nothing_without_a_reason(host: Host, tmp_path: Path) -> None:
    """In what all of these sites need: rules for paths, a cache, limits, files alone, redirects. None has HSTS (edge_hsts)."""
    assert {one["plugin"] for one in checkers.gixy(host, tmp_path)} <= {"hsts_header"}
