"""What is measured: environments of Slipway, peers, and which side serves which page. All of it is data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

CONNECTIONS = 64
USER = "gunicorn"  # the peers', too: PostgreSQL knows its client by the user
APP = "/opt/bench/app"
BIN = "/opt/bench/venv/bin"
PEERS = "/opt/bench/peers"
RELEASE = "/srv/gunicorn/current"

# Slipway's environments, by the server they are on and their app_name: what an inventory sets.
ENVIRONMENTS: dict[str, dict[str, dict[str, object]]] = {
    "bench-nginx": {
        "gunicorn": {},
        "uwsgi": {"app_server": "uwsgi", "edge_upstream_protocol": "uwsgi"},
        "granian": {"app_server": "granian"},
        "secure": {"edge_tls": "selfsigned"},
        "cached": {"edge_paths": [{"path": "/", "cache": {"valid_seconds": 1}}]},
    },
    "bench-apache": {
        "httpd": {"edge": "apache"},
        "modwsgi": {"edge": "apache", "app_server": "mod_wsgi"},
    },
}
WITH_DATABASE = "gunicorn"


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    units: systemd's units of each tier, with patterns; command: what is run in wrk's place; site: Slipway's environment that it is.
    """

    name: str
    label: str
    url: str = ""
    units: dict[str, str] = field(default_factory=dict)
    server: str = "bench-nginx"
    headers: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    drawn: bool = True
    site: str = ""


@dataclass(frozen=True)
class Part:
    """A comparison. base: the side that the others' ratios are to; variables: what is set of an environment before, by app_name."""

    title: str
    base: str
    sides: tuple[Side, ...]
    seconds: int = 3
    rounds: int | None = None
    variables: dict[str, dict[str, object]] = field(default_factory=dict)


@dataclass(frozen=True)
class Unit:
    """A peer's process that systemd runs for us: its unit is bench-<name>."""

    name: str
    command: tuple[str, ...]
    user: str = "root"
    server: str = "bench-nginx"


def _nginx(name: str) -> Unit:
    return Unit(f"{name}-web", ("/usr/sbin/nginx", "-c", f"{PEERS}/{name}.nginx.conf", "-g", "daemon off;"))


UNITS = (
    # The container template for Flask: what its supervisor starts.
    Unit("template-app", (f"{BIN}/uwsgi", "--ini", f"{PEERS}/template.uwsgi.ini"), USER),
    _nginx("template"),
    # What tutorials for a VPS write into a unit.
    Unit("tutorial-app", (f"{BIN}/gunicorn", "--workers", "3", "--bind", "127.0.0.1:8102", "main:app"), USER),
    _nginx("tutorial"),
    # Slipway's gunicorn and its settings, without Slipway.
    Unit("alone-app", (f"{RELEASE}/.venv/bin/gunicorn", "--config", f"{PEERS}/alone.gunicorn.py", "main:app"), USER),
    _nginx("alone"),
    _nginx("limit"),
    _nginx("gzip"),
    Unit("flask-app", (f"{BIN}/flask", "--app", "main", "run", "--port", "8005"), USER),
    Unit(
        "embedded-web",
        ("/usr/sbin/apache2", "-f", f"{PEERS}/embedded.apache2.conf", "-DFOREGROUND"),
        server="bench-apache",
    ),
)


def slipway(
    name: str,
    label: str,
    path: str = "/",
    *,
    server: str = "bench-nginx",
    scheme: str = "http",
    database: bool = False,
) -> Side:
    """Return the side of one of Slipway's environments."""
    web = {"bench-nginx": "nginx.service", "bench-apache": "apache2.service"}[server]
    units = {"app": f"{name}@*.service", "web": web} | ({"database": "postgresql@*.service"} if database else {})
    headers = ("Accept-Encoding: gzip",) if path.endswith(".css") else ()
    return Side(
        name + ("-css" if headers else ""), label, f"{scheme}://{name}.test{path}", units, server, headers, site=name
    )


def peer(
    name: str,
    label: str,
    port: int,
    path: str = "/",
    *,
    tiers: str = "app web",
    server: str = "bench-nginx",
    drawn: bool = True,
    unit: str = "",
) -> Side:
    """Return the side of a peer. tiers: those that have a unit, and `database`; unit: whose units it has, if not its own."""
    units = {
        t: "postgresql@*.service" if t == "database" else f"bench-{unit or name}-{t}.service" for t in tiers.split()
    }
    headers = ("Accept-Encoding: gzip",) if path.endswith(".css") else ()
    return Side(name, label, f"http://127.0.0.1:{port}{path}", units, server, headers, drawn=drawn)


CSS = "/static/site.css"
THREE = "app web database"
DEFAULT = "Slipway, gunicorn (the default)"
TEMPLATE = "the uWSGI + nginx container template"
TUTORIAL = "the VPS tutorial: gunicorn 23, 3 sync workers"
UWSGI = slipway("uwsgi", "Slipway, uwsgi")
GRANIAN = slipway("granian", "Slipway, granian")
APACHE = slipway("httpd", "Slipway, gunicorn behind Apache", server="bench-apache")
MOD_WSGI = slipway("modwsgi", "Slipway, mod_wsgi", server="bench-apache")

PARTS: dict[str, Part] = {
    "plain": Part(
        "A page of one line",
        "template",
        (
            slipway("gunicorn", DEFAULT),
            peer("template", TEMPLATE, 8001),
            GRANIAN,
            peer("tutorial", TUTORIAL, 8002),
            UWSGI,
            peer("alone", "gunicorn alone, with Slipway's workers and nginx", 8003),
            APACHE,
            MOD_WSGI,
            peer("embedded", "the Apache template: mod_wsgi embedded", 8007, tiers="web", server="bench-apache"),
            peer("flask", "Flask's development server (not for production)", 8005, tiers="app"),
            peer("limit", "limit: nginx, `return 200`", 8004, tiers="web", drawn=False),
            Side(
                "loop",
                "limit: the application called in a loop",
                command=(f"{BIN}/python", f"{PEERS}/loop.py"),
                drawn=False,
            ),
        ),
    ),
    "query": Part(
        "A page with one query",
        "template",
        (
            slipway("gunicorn", DEFAULT, "/query", database=True),
            peer("template", TEMPLATE, 8001, "/query", tiers=THREE),
            peer("tutorial", TUTORIAL, 8002, "/query", tiers=THREE),
        ),
    ),
    "stylesheet": Part(
        "A stylesheet of 90 KB, which the client takes compressed",
        "gzip5",
        (
            slipway("gunicorn", "Slipway: compressed when it was deployed", CSS),
            peer("gzip", "nginx, `gzip on`: compressed for each answer, level 1", 8006, CSS, tiers="web"),
            peer(
                "gzip5", "the same, level 5 (what Slipway's nginx has for pages)", 8008, CSS, tiers="web", unit="gzip"
            ),
            peer("tutorial", "the VPS tutorial: not compressed", 8002, CSS, tiers="web"),
        ),
    ),
    "tls": Part(
        "The page of one line over HTTPS, connections kept",
        "gunicorn",
        (slipway("gunicorn", "Slipway, HTTP"), slipway("secure", "Slipway, HTTPS", scheme="https")),
    ),
    "tls-stylesheet": Part(
        "The stylesheet over HTTPS, connections kept",
        "gunicorn-css",
        (slipway("gunicorn", "Slipway, HTTP", CSS), slipway("secure", "Slipway, HTTPS", CSS, scheme="https")),
    ),
    "cache": Part(
        "The page of one line, kept by nginx for 1 s (`cache` of `edge_paths`)",
        "gunicorn",
        (slipway("gunicorn", "Slipway"), slipway("cached", "Slipway, with `cache`")),
    ),
    "stalls": Part(
        "A minute in which workers are replaced",
        "gunicorn",
        (slipway("gunicorn", DEFAULT), UWSGI, GRANIAN, APACHE, MOD_WSGI),
        seconds=60,
        rounds=1,
        variables={
            # Each worker is replaced in the minute, most of them two or three times.
            "gunicorn": {"gunicorn_max_requests": 30_000, "gunicorn_max_requests_jitter": 15_000},
            "httpd": {"gunicorn_max_requests": 30_000, "gunicorn_max_requests_jitter": 15_000},
            "uwsgi": {"uwsgi_max_requests": 50_000},
            "granian": {"granian_workers_lifetime_seconds": 60},
            "modwsgi": {"mod_wsgi_maximum_requests": 20_000},
        },
    ),
}
COMPLETE = tuple(name for name in PARTS if name != "stalls")  # which takes as long as all of the others


def needed(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the environments that parts need, by server. The peers need the first of theirs, with which the web server comes."""
    sides = [side for name in names for side in PARTS[name].sides]
    used = {side.site for side in sides}
    return {
        server: [site for site in sites if site in used or site == next(iter(sites))]
        for server, sites in ENVIRONMENTS.items()
        if any(side.server == server for side in sides)
    }
