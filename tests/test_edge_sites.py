"""What the edges' site files say, rendered as the roles render them."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.slipway.flask.plugins.filter.static_names import static_name_pattern

from plugin import ROOT

LOADER = DataLoader()
NAMES = ["site.test", "www.site.test", "*.site.test"]
CASES: dict[str, dict[str, Any]] = {
    "plain": {"edge_tls": "off"},
    "plain-canonical": {"edge_tls": "off", "edge_canonical_host": "www.site.test"},
    "secure": {},
    "secure-canonical": {"edge_canonical_host": "site.test"},
    "waiting": {"edge_canonical_host": "site.test", "edge_tls_names": ["www.site.test", "*.site.test"]},
    "partly": {"edge_canonical_host": "site.test", "edge_tls_names": ["site.test"]},
    "ports": {
        "edge_tls": "off",
        "edge_canonical_host": "site.test",
        "nginx_listen": ["8080"],
        "apache_listen": ["8080"],
    },
    "redirect": {"edge_redirect_to": "https://new.test/", "edge_upstream_socket": ""},
    "redirect-plain": {"edge_redirect_to": "http://[2001:db8::1]:8080/shop/", "edge_tls": "off"},
    "redirect-waiting": {"edge_redirect_to": "https://new.test", "edge_tls_names": []},
    "tls-ports": {"edge_canonical_host": "site.test", "nginx_tls_listen": ["8443"], "apache_tls_listen": ["8443"]},
}
SERVERS = ("nginx", "apache")
SITE = re.compile(r"^(?:server \{|<VirtualHost [^>]*>)\n(.*?)^(?:\}|</VirtualHost>)", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"server_name ([^;]*);|Server(?:Name|Alias) (\S+)")
REDIRECT = re.compile(r'return 308 (\S+)\$request_uri;|"\^" "(http\S+)%1" \[NE,R=308,L\]')


def edge_file(server: str, path: str, variables: dict[str, Any]) -> str:
    """Return the text of the one file of a server whose path matches, for a site with a certificate on Debian 13.

    variables: what is otherwise.
    """
    known: dict[str, Any] = {}
    for file in ("defaults", "vars"):
        for role in ("edge", server):
            known |= LOADER.load_from_file(str(ROOT / f"roles/{role}/{file}/main.yml"), trusted_as_template=True)
    known |= {
        "role_path": str(ROOT / "roles" / server),
        "ansible_facts": {"distribution_major_version": "13"},
        "edge_site_name": "site",
        "edge_server_names": NAMES,
        "edge_upstream_socket": "/run/site/app.sock",
        "edge_tls": "provided",
        "edge_tls_certificate": "/etc/ssl/site.pem",
        "edge_tls_key": "/etc/ssl/site.pem",
        "edge_acme_webroot": "/var/lib/acme",
        **variables,
    }
    rendered = Templar(loader=LOADER, variables=known).template(known["edge_files"])
    (text,) = (file["content"] for file in rendered if re.search(path, file["path"]))
    return str(text)


def site_file(server: str, variables: dict[str, Any]) -> str:
    """Return the text of a site's file."""
    return edge_file(server, r"sites-enabled/site(\.conf)?$", variables)


def answers(text: str) -> dict[str, str]:
    """Return for each name, on HTTP and on HTTPS, where it redirects to; empty where it has the site."""
    found: dict[str, str] = {}
    for site in SITE.findall(text):
        scheme = "https" if re.search(r" ssl;|SSLEngine", site) else "http"
        redirect = REDIRECT.search(site)
        for several, one in NAME.findall(site):
            for name in (several or one).split():
                assert f"{scheme} {name}" not in found
                found[f"{scheme} {name}"] = "".join(redirect.groups("")) if redirect else ""
    # What Apache calls a site that has patterns alone.
    return {name: place for name, place in found.items() if "site.invalid" not in name}


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(
    ("case", "http", "https"),
    [
        ("plain", ["", "", ""], None),
        ("plain-canonical", ["http://www.site.test", "", "http://www.site.test"], None),
        ("secure", ["https://{}"] * 3, ["", "", ""]),
        ("secure-canonical", ["https://site.test"] * 3, ["", "https://site.test", "https://site.test"]),
        # The canonical host has no certificate yet: nobody is sent there.
        ("waiting", ["", "https://{}", "https://{}"], [None, "", ""]),
        ("partly", ["https://site.test"] * 3, ["", None, None]),
        ("ports", ["", "http://site.test:8080", "http://site.test:8080"], None),
        ("tls-ports", ["https://site.test:8443"] * 3, ["", "https://site.test:8443", "https://site.test:8443"]),
        # In one step, and before there is a certificate.
        ("redirect", ["https://new.test"] * 3, ["https://new.test"] * 3),
        ("redirect-plain", ["http://[2001:db8::1]:8080/shop"] * 3, None),
        ("redirect-waiting", ["https://new.test"] * 3, None),
    ],
)
def test_each_name_has_the_site_or_leads_to_it(
    server: str,
    case: str,
    http: list[str | None],
    https: list[str | None] | None,
) -> None:
    """None: it is not answered there. {}: the name that was asked for."""
    asked = {"nginx": "$host", "apache": "%{SERVER_NAME}"}[server]
    expected = {
        f"{scheme} {name}": place.format(asked)
        for scheme, places in (("http", http), ("https", https or []))
        for name, place in zip(NAMES, places, strict=False)
        if place is not None
    }
    assert answers(site_file(server, CASES[case])) == expected


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(
    ("variables", "places"),
    [
        ({"edge_tls": "off"}, {"https://www.site.test", "http://www.site.test"}),
        # The server's own port is not the proxy's.
        (
            {"edge_tls": "off", "nginx_listen": ["8080"], "apache_listen": ["8080"]},
            {"https://www.site.test", "http://www.site.test:8080"},
        ),
        ({}, {"https://www.site.test"}),
    ],
)
def test_behind_a_proxy_with_https_another_name_leads_to_the_canonical_one_on_https(
    server: str, variables: dict[str, Any], places: set[str]
) -> None:
    proxied = {"edge_canonical_host": "www.site.test", "edge_trusted_proxies": ["203.0.113.0/24"], **variables}
    text = site_file(server, proxied)
    assert {"".join(place) for place in REDIRECT.findall(text)} == places
    if len(places) > 1:
        (site,) = (site for site in SITE.findall(text) if REDIRECT.search(site))
        condition = {"nginx": "if ($site__scheme = https) {", "apache": '"%{ENV:VISITOR_SCHEME}" "=https"'}[server]
        (place,) = re.findall(rf"{re.escape(condition)}\n(?:.*THE_REQUEST.*\n)?(.*)", site)
        assert "https://www.site.test" in place
    assert not REDIRECT.findall(site_file(server, {"edge_tls": "off", "edge_trusted_proxies": ["203.0.113.0/24"]}))


@pytest.mark.parametrize(
    ("variables", "listens"),
    [
        ({}, 0),
        ({"edge_http3": True}, 2),
        ({"edge_http3": True, "edge_canonical_host": "site.test"}, 4),
        ({"edge_http3": True, "edge_redirect_to": "https://new.test"}, 2),
        ({"edge_http3": True, "edge_tls_names": []}, 0),  # before the first certificate
    ],
)
def test_http_3_is_where_https_is(variables: dict[str, Any], listens: int) -> None:
    text = site_file("nginx", variables)
    assert text.count(" quic;") == listens
    assert ("Alt-Svc" in text) == bool(listens)


def test_the_page_in_the_place_of_a_404_does_not_lose_the_headers_that_the_404_had() -> None:
    index = {"edge_static_index": "index.html", "edge_static_index_fallback": True, "edge_hsts": True}
    text = site_file("nginx", {"edge_static_roots": ["/srv/site"], "edge_static_url": "/static/", **index})
    (page,) = re.findall(r"location @index \{(.*?)\n    \}", text, re.DOTALL)
    assert 'add_header X-Content-Type-Options "nosniff" always;' in page
    assert "add_header Strict-Transport-Security $site__index_strict_transport_security always;" in page
    assert re.search(
        r"map \$scheme \$site__index_strict_transport_security \{\n    https    \"max-age=31536000\";", text
    )


def test_encoded_slashes_are_let_through_only_where_a_request_is_passed_or_sent_on() -> None:
    pages = {"edge_upstream_socket": "", "edge_static_roots": ["/srv/site"], "edge_static_url": "/", "edge_tls": "off"}
    assert "AllowEncodedSlashes" not in site_file("apache", pages)
    for variables in ({"edge_tls": "off"}, CASES["redirect-plain"]):
        assert site_file("apache", variables).count("AllowEncodedSlashes NoDecode") == 1


def test_no_burst_is_one_that_nginx_understands() -> None:
    paths = [{"path": "/a", "requests_per_minute": 1, "burst": 0}]
    assert "limit_req zone=site__requests_per_minute_a nodelay;" in site_file("nginx", {"edge_paths": paths})


@pytest.mark.parametrize("server", SERVERS)
def test_no_challenge_leads_past_a_password(server: str) -> None:
    text = site_file(server, {"edge_paths": [{"path": "/", "users": {"ada": "$6$abcdefghijklmnopqrstuvwxyz"}}]})
    (secure,) = (site for site in SITE.findall(text) if re.search(r" ssl;|SSLEngine", site))
    assert "/var/lib/acme" in secure


UNTIL: dict[str, Any] = {"edge_tls": "acme", "edge_tls_names": []}


@pytest.mark.parametrize("server", SERVERS)
def test_until_there_is_a_certificate_a_variable_chooses_between_the_site_and_503(server: str) -> None:
    """Both answer the CA, and tell nobody to go to HTTPS."""
    for has_site in (True, False):
        (site,) = SITE.findall(site_file(server, {**UNTIL, "edge_http_until_certificate": has_site}))
        refused = {"nginx": "\n        return 503; # until there", "apache": '"^" "-" [R=503,L] # until there'}[server]
        assert bool(re.search(" proxy_pass | ProxyPass ", site)) == has_site
        assert (refused in site) != has_site
        assert "/var/lib/acme" in site
        assert "308" not in site


@pytest.mark.parametrize("until", [True, False])
@pytest.mark.parametrize("case", [*CASES.values(), UNTIL], ids=[*CASES, "first"])
def test_each_variable_that_nginx_is_asked_for_is_made(case: dict[str, Any], until: bool) -> None:
    """It refuses a configuration that names another."""
    more = {"edge_static_roots": ["/srv/site/public"], "edge_http_until_certificate": until}
    text = site_file("nginx", {**more, **case})
    made = re.findall(r"^ *(?:(?:map|geo) \S+|map \"[^\"]+\"|geo|set) \$(site_\w+)", text, re.MULTILINE)
    assert set(re.findall(r"\$\{?(site_\w+)", text)) <= set(made)


@pytest.mark.parametrize("server", SERVERS)
def test_until_there_is_a_certificate_no_password_is_asked_for_in_the_clear(server: str) -> None:
    """Such a path has 503, whatever the rest of the site has. Without HTTPS at all, it is what was asked for."""
    paths = {"edge_paths": [{"path": "/admin", "users": {"ada": "$6$abcdefghijklmnopqrstuvwxyz"}}]}
    refused = {
        "nginx": r"if \(\$site__realm != off\) \{\n        return 503;",
        # Which path it is for has to be known before.
        "apache": r"E=EDGE_PATH:admin\]\n.*\n    RewriteCond expr \"reqenv\('EDGE_PATH'\) in \{ 'admin' \}\"\n"
        r".*REDIRECT_STATUS.*\n    RewriteRule \"\^\" \"-\" \[R=503,L\]\n",
    }[server]
    asks = {"nginx": "auth_basic $site__realm;", "apache": "AuthType Basic"}[server]
    (waiting,) = SITE.findall(site_file(server, {**UNTIL, **paths}))
    assert re.search(refused, waiting)
    (closed,) = SITE.findall(site_file(server, {**UNTIL, **paths, "edge_http_until_certificate": False}))
    assert asks not in closed
    for text in (site_file(server, paths), site_file(server, {**paths, "edge_tls": "off"})):
        assert not re.search(refused, text)
        assert asks in text


PATHS = [
    {"path": "/", "allow": ["203.0.113.0/24"]},
    {"path": "/admin", "users": {"ada": "$6$abcdefghijklmnopqrstuvwxyz"}},
    {"path": "/upload", "body_limit": "5g", "buffering": False, "timeout_seconds": 300},
    {"path": "/news", "cache": {"valid_seconds": 10}},
    {"path": "/login", "requests_per_minute": 20, "connections": 4},
]
INDEX: dict[str, Any] = {"edge_static_roots": ["/srv/site"], "edge_static_url": "/static/"}
INDEX |= {"edge_static_index": "index.html", "edge_static_index_fallback": True, "edge_static_kinds": ["css"]}
SITES: dict[str, dict[str, Any]] = {
    "plain": {},
    "paths": {"edge_paths": PATHS},
    "trusting": {"edge_trusted_proxies": ["203.0.113.5"]},
    "everything": {"edge_paths": PATHS, "edge_trusted_proxies": ["203.0.113.5"], **INDEX},
}
UWSGI = {"edge_upstream_protocol": "uwsgi", "edge_upstream_socket": "/run/site/app.uwsgi"}


@pytest.mark.parametrize("case", SITES)
def test_uwsgi_is_told_whatever_http_is_told(case: str) -> None:
    http, uwsgi = (site_file("nginx", {**SITES[case], **protocol}) for protocol in ({}, UWSGI))
    assert not re.search(r"^ *(proxy_|upstream )|app\.sock", uwsgi, re.MULTILINE)
    # Each directive of the one is as often in the other, with the same values.
    asked = [
        re.findall(rf"^ *{word}_(?!param|pass)(\S+ .*;)", text, re.MULTILINE)
        for word, text in (("proxy", http), ("uwsgi", uwsgi))
    ]
    told = [line.replace("$request_method:", "").replace("http_503", "http_502 http_503 http_504") for line in asked[1]]
    ours = [
        line for line in asked[0] if not line.startswith(("set_header", "http_version", "redirect", "next_upstream"))
    ]
    assert [
        line for line in told if not line.startswith(("next_upstream", "hide_header Date", "hide_header Server"))
    ] == ours
    # And what nginx does not pass on of an answer in HTTP by itself.
    hidden = [re.findall(r"uwsgi_hide_header (Date|Server);", part) for part in uwsgi.split("uwsgi_pass ")[1:]]
    assert {tuple(names) for names in hidden} == {("Date", "Server")}
    assert http.count("proxy_pass ") == uwsgi.count("uwsgi_pass unix:/run/site/app.uwsgi;")
    headers = re.findall(r"^ *proxy_set_header (\S+) +(.*);", http, re.MULTILINE)
    params = dict(re.findall(r"^ *uwsgi_param (\S+) +(.*);", uwsgi, re.MULTILINE))
    said = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers}
    assert {name: params[name].removesuffix(" if_not_empty") for name in said} == said
    # What nginx does not pass on in HTTP by itself.
    hops = "HTTP_CONTENT_LENGTH HTTP_CONTENT_TYPE HTTP_EXPECT HTTP_KEEP_ALIVE HTTP_TE HTTP_TRANSFER_ENCODING"
    assert {params[name] for name in hops.split()} == {'""'}


@pytest.mark.parametrize("name", ["Content-Type", "content-length"])
def test_what_is_unset_is_unset_in_uwsgi_too(name: str) -> None:
    """Of these two nginx has names of its own there, too."""
    parameter = name.upper().replace("-", "_")
    other = ({"CONTENT_TYPE", "CONTENT_LENGTH"} - {parameter}).pop()
    text = site_file("nginx", {**UWSGI, "edge_unset_request_headers": [name]})
    params = dict(re.findall(r"^ *uwsgi_param (\S+) +(.*);", text, re.MULTILINE))
    assert parameter not in params
    assert params[f"HTTP_{parameter}"] == '""'
    assert params[other] == f"${other.lower()} if_not_empty"


def test_while_the_protocol_is_changed_nginx_speaks_what_the_running_application_understands() -> None:
    http = site_file("nginx", {})
    assert site_file("nginx", {"edge_upstream_protocol": "uwsgi", "edge_upstream_protocol_now": "http"}) == http


def test_the_application_hears_of_a_trusted_proxy_s_https_in_uwsgi_too() -> None:
    plain, trusting = (site_file("nginx", {**SITES[case], **UWSGI}) for case in ("plain", "trusting"))
    for text, scheme, https, port in (
        (plain, "$scheme", "$https", "$server_port"),
        (trusting, "$site__scheme", "$site__https", "$site__port"),
    ):
        params = dict(re.findall(r"^ *uwsgi_param (\S+) +(.*);", text, re.MULTILINE))
        assert (params["REQUEST_SCHEME"], params["HTTPS"]) == (scheme, f"{https} if_not_empty")
        assert params["SERVER_PORT"] == port
    assert re.search(r"map \$site__scheme \$site__https \{\n    https    on;", trusting)


def test_an_answer_to_head_is_not_kept_for_get_in_uwsgi() -> None:
    """nginx asks the application for GET in HTTP alone."""
    text = site_file("nginx", {**SITES["paths"], **UWSGI})
    assert 'uwsgi_cache_key "$request_method:$site__release $scheme://$site__host$request_uri";' in text


def test_a_body_without_a_length_is_held_to_the_limit_of_its_path() -> None:
    text = site_file("nginx", {"edge_paths": [{"path": "/short", "body_limit": "1k"}]})
    (location,) = re.findall(r"location @application_short \{(.*?)\n    \}", text, re.DOTALL)
    assert "client_max_body_size 1k;" in location


@pytest.mark.parametrize("server", SERVERS)
def test_a_site_that_only_redirects_has_nothing_else_but_the_challenges(server: str) -> None:
    variables = {"edge_redirect_to": "https://new.test", "edge_upstream_socket": "", "edge_hsts": True}
    text = site_file(server, {**variables, "edge_trusted_proxies": ["203.0.113.0/24"]})
    assert not re.search(r"upstream site|proxy_pass|ProxyPass|maintenance|50x|unix:", text)
    plain, secure = SITE.findall(text)
    assert "/var/lib/acme" in plain
    assert "/var/lib/acme" not in secure
    for site in (plain, secure):
        for word in ("203.0.113.0/24", "site.access.log", "X-Content-Type-Options", "Strict-Transport-Security"):
            assert word in site


PAGES: dict[str, Any] = {
    "edge_tls": "off",
    "edge_upstream_socket": "",
    "edge_static_url": "/",
    "edge_static_roots": ["/srv/now", "/srv/before", "/srv/long-ago"],
    "edge_static_index_fallback": True,
    "edge_static_kinds": ["css"],
    "edge_static_forbidden_suffixes": ["py"],
}


@pytest.mark.parametrize("server", SERVERS)
def test_a_site_without_an_application_sends_what_may_be_published_alone(server: str) -> None:
    """As a file, and as the page of a path; the pages are html in any case."""
    name = static_name_pattern("/", ["css", "html"], ["py"])
    judged = {
        "nginx": [
            f'map {path} $site__{kind} {{\n    "~*{name}"  {path};'
            for path, kind in (("$uri", "file"), ("$uri.html", "page"))
        ],
        "apache": [
            f'RewriteCond "%{{REQUEST_URI}}{end}" "!{name}" [NC]\n    RewriteRule "^" "-" [S=' for end in ("", ".html")
        ],
    }
    text = site_file(server, PAGES)
    assert [text.count(one) for one in judged[server]] == [1, 1]
    if server == "nginx":
        tried = [line for line in re.findall(r"try_files (.*);", text) if "uri" in line]
        assert tried == ["${uri}index.html @missing"]
        assert "try_files $site__file $site__page @folder;" in text
    else:
        assert 'RewriteCond "/srv/now%{REQUEST_URI}" -f\n    RewriteRule "^" "/srv/now/.slipway-none" [L]\n' in text


@pytest.mark.parametrize("variables", [{}, {"apache_brotli": False}, {"edge_static_roots": ["/srv/now"]}])
def test_apache_skips_just_the_rules_that_send_what_was_refused(variables: dict[str, Any]) -> None:
    text = site_file("apache", {**PAGES, **variables})
    rules = re.findall(r'RewriteRule "(.*)" "(.*)" \[(.*)\]', text)
    found = []
    for place, (_, _, flags) in enumerate(rules):
        if skipped := re.fullmatch(r"S=(\d+)", flags):
            ends = place + 1 + int(skipped[1])
            found.append(({pattern for pattern, _, _ in rules[place + 1 : ends]}, rules[ends][0]))
    former = set() if variables.get("edge_static_roots") else {r"(?i)^(?!.*\.html?(?:\.(?:br|gz))?$)"}
    assert found == [({"^"} | former, "/$"), ({"[^/]$"}, "^"), ({"^"}, "^")]
    # Which is the one that refuses.
    assert [target for pattern, target, _ in rules if pattern == "^"][-1] == "/srv/now/.slipway-none"


@pytest.mark.parametrize("server", SERVERS)
def test_the_files_of_all_former_releases_are_found_but_not_their_pages(server: str) -> None:
    text = site_file(server, PAGES)
    if server == "nginx":
        assert "try_files /srv/before$site__former /srv/long-ago$site__former @missing;" in text
        (former,) = re.findall(r"map \$uri \$site__former \{\n(.*?)\n\}", text, re.DOTALL)
        assert former.split() == ['"~*\\.html?(?:\\.(?:br|gz))?$"', "/.slipway/none;", "default", "$site__file;"]
    else:
        patterns = dict(re.findall(r'RewriteRule "(.*)" "(/srv/[bl].*%\{REQUEST_URI\})"', text))
        (pattern,) = patterns
        assert [bool(re.search(pattern, path)) for path in ("/a.css", "/a.css.gz")] == [True, True]
        assert not any(re.search(pattern, path) for path in ("/a.html", "/A.HTM", "/a.html.gz", "/b/a.html.br"))
        for root in "/srv/before", "/srv/long-ago":
            assert f'RewriteRule "{pattern}" "{root}%{{REQUEST_URI}}" [L]' in text


@pytest.mark.parametrize("server", SERVERS)
def test_every_server_of_a_site_has_its_log_and_knows_the_visitor(server: str) -> None:
    """Also the one that answers with 503 until there is a certificate."""
    proxied = {"edge_trusted_proxies": ["203.0.113.0/24"], "edge_http_until_certificate": False}
    for case in CASES.values():
        for site in SITE.findall(site_file(server, {**case, **proxied})):
            assert "site.access.log" in site
            assert "site.error.log" in site
            assert re.search(r"set_real_ip_from 203.0.113.0/24|RemoteIPInternalProxy 203.0.113.0/24", site)


@pytest.mark.parametrize(
    ("variables", "entry"),
    [
        ({"edge_http3": True, "nginx_tls_listen": ["443", "8443"]}, '"HTTP/3.0 8443"  $host:8443;'),
        ({"edge_http3": True}, ""),
        ({"nginx_tls_listen": ["8443"]}, ""),
    ],
)
def test_http_3_tells_the_application_its_port_where_a_browser_writes_one(
    variables: dict[str, Any], entry: str
) -> None:
    text = site_file("nginx", variables)
    assert (entry or "map $http_host") in text
    assert ("host_of_http3" in text) == bool(entry)


POLICIES = {
    "Content-Security-Policy": "frame-ancestors 'self' https://partner.test",
    "Content-Security-Policy-Report-Only": "default-src 'self'; report-uri /csp",
}


@pytest.mark.parametrize("name", POLICIES)
def test_every_location_of_nginx_that_has_headers_of_its_own_has_those_of_the_site_too(name: str) -> None:
    """nginx inherits headers only where a location has none. `always`: on errors too."""
    text = site_file("nginx", {**SITES["everything"], "edge_response_headers": POLICIES})
    variable = "$site__header_" + name.lower().replace("-", "_")
    assert re.search(rf'map "https \S+" {re.escape(variable)} \{{\n    "https "  "{re.escape(POLICIES[name])}";', text)
    headers: dict[str, list[str]] = {}
    blocks: list[str] = []
    for number, line in enumerate(text.splitlines()):
        if line.endswith("{"):
            blocks.append(f"{line.strip()} (line {number})")
        elif line.strip() == "}":
            blocks.pop()
        elif header := re.match(r" *add_header (.*);", line):
            headers.setdefault(blocks[-1], []).append(header[1])
    assert len(headers) > 5
    for block, has in headers.items():
        value = f'"{POLICIES[name]}"' if "@index" in block else variable
        assert f"{name} {value} always" in has, block


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("case", ["secure-canonical", "waiting", "redirect"])
def test_every_virtual_host_of_apache_has_the_headers_on_errors_too(case: str, name: str) -> None:
    for until in (True, False):
        variables = {"edge_response_headers": POLICIES, "edge_http_until_certificate": until}
        for site in SITE.findall(site_file("apache", {**CASES[case], **variables})):
            condition = f"expr=-z reqenv('BELOW') && -z %{{resp:{name}}}"
            assert f'Header always set {name} "{POLICIES[name]}" "{condition}"\n' in site


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("case", ["secure-canonical", "waiting", "redirect"])
def test_a_site_can_do_without_any_headers(server: str, case: str) -> None:
    text = site_file(server, {**CASES[case], "edge_response_headers": {}})
    assert SITE.findall(text)
    assert not re.search("X-Content-Type-Options|Referrer-Policy", text)


@pytest.mark.parametrize(
    ("server", "variable", "line"),
    [
        ("nginx", "nginx_client_header_timeout_seconds", "client_header_timeout 7s;"),
        ("nginx", "nginx_client_body_timeout_seconds", "client_body_timeout 7s;"),
        ("nginx", "nginx_send_timeout_seconds", "send_timeout 7s;"),
        ("nginx", "nginx_keepalive_timeout_seconds", "keepalive_timeout 7s;"),
        (
            "apache",
            "apache_request_header_timeout_seconds",
            "RequestReadTimeout header=7-14,MinRate=500 body=30,MinRate=500",
        ),
        (
            "apache",
            "apache_request_body_timeout_seconds",
            "RequestReadTimeout header=20-40,MinRate=500 body=7,MinRate=500",
        ),
        ("apache", "apache_timeout_seconds", "Timeout 7"),
        ("apache", "apache_keepalive_timeout_seconds", "KeepAliveTimeout 7"),
    ],
)
def test_how_long_a_client_may_take_is_what_is_set(server: str, variable: str, line: str) -> None:
    """That it is ended then: molecule/shared/edge_promises/test_slow_clients.py."""
    lines = edge_file(server, r"^(nginx|apache2)\.conf$", {variable: 7}).splitlines()
    assert line in [line.strip() for line in lines]


def test_no_variable_of_nginx_is_that_of_another_site() -> None:
    """nginx takes the last of two maps of a name, for all sites, and says nothing."""
    names = "shop", "shop_file", "shop-file", "shop_cache"
    owners: dict[str, set[str]] = {}
    for name, case in itertools.product(names, (PAGES, SITES["everything"])):
        text = edge_file("nginx", rf"sites-enabled/{name}$", {**case, "edge_site_name": name})
        for variable in re.findall(r"^(?:map|geo) .*\$(\w+) \{", text, re.MULTILINE):
            owners.setdefault(variable, set()).add(name)
    assert len(owners) > 40
    assert {variable: sites for variable, sites in owners.items() if len(sites) > 1} == {}


@pytest.mark.parametrize("prefix", ["", "/shop"])
@pytest.mark.parametrize("server", SERVERS)
def test_at_the_root_files_are_sent_where_they_are_and_the_application_is_asked_for_the_rest(
    server: str, prefix: str
) -> None:
    """Vite's index.html and assets as they come; no path is refused that the application could have."""
    roots = {"edge_static_roots": ["/srv/site"], "edge_static_kinds": ["html", "js"]}
    text = site_file(server, {**roots, "edge_url_prefix": prefix, "edge_static_url": f"{prefix}/"})
    index = {"nginx": f"location = {prefix}/ {{", "apache": f'"^{re.escape(prefix)}/$" "/srv/site{prefix}/index.html"'}
    assert index[server] in text
    refusal = {"nginx": r"location \^~ (/shop)?/ ", "apache": r'RewriteRule "\^[^"]*" "-" \[E=REFUSED:1,R=404'}
    assert not re.search(refusal[server], text)
    assert static_name_pattern(f"{prefix}/", ["html", "js"], []) in text


def test_an_upload_to_the_name_of_a_file_has_the_limit_of_its_path() -> None:
    """With static files at the root, nginx takes the first regular expression that fits."""
    case = {"edge_static_roots": ["/srv/site"], "edge_static_kinds": ["jpg"], "edge_static_url": "/"}
    text = site_file("nginx", {**case, "edge_paths": [{"path": "/upload", "body_limit": "1g"}]})
    assert text.index("client_max_body_size 1g") < text.index(static_name_pattern("/", ["jpg"], []))
    assert text.count('location ~* "^/upload') == 1
