"""Several applications below one domain: what is refused, and what the files of the owner and of the others say."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible_collections.slipway.flask.plugins.filter.below import below_complaints, name_complaints, sites_below

from test_edge_sites import SITE, edge_file, site_file

FOLDER = "/etc/nginx/slipway/below-guestbook"
FILES = [
    "/usr/sbin/postfix",
    f"{FOLDER}/@guestbook.conf",
    f"{FOLDER}/+sea@tides.conf",
    f"{FOLDER}/+a+b@other.conf",
    "/etc/nginx/slipway/below-apart/+mine@apart.conf",
]
TIDES = {
    "edge_site_name": "tides",
    "edge_mounted_below": "guestbook",
    "edge_url_prefix": "/sea",
    "edge_upstream_socket": "/run/tides/app.sock",
    "edge_static_url": "/sea/static/",
    "edge_static_roots": ["/srv/tides/current/public"],
    "edge_static_kinds": ["css"],
}
EVERYTHING: dict[str, Any] = {
    "edge_static_index": "index.html",
    "edge_static_index_fallback": True,
    "edge_paths": [{"path": "/sea/big", "body_limit": "1g"}, {"path": "/sea/news", "cache": {"valid_seconds": 5}}],
    "edge_trusted_proxies": ["203.0.113.0/24"],
    "edge_hsts": True,
    "edge_maintenance_open_paths": ["/sea/healthz"],
}


@pytest.mark.parametrize(
    ("site", "below", "path", "said"),
    [
        ("guestbook", "", "", ""),
        ("apart", "", "/mine", ""),
        ("newcomer", "", "/sea", ""),
        ("tides", "guestbook", "/sea", ""),
        ("tides", "guestbook", "/lake", ""),
        ("newcomer", "guestbook", "/sea/bay", ""),
        ("newcomer", "apart", "/sea", ""),
        ("newcomer", "guestbook", "/a/b", "app_url_prefix: /a/b of guestbook's domain is taken by other on www1."),
        ("newcomer", "apart", "/mine", "app_url_prefix: /mine of apart's domain is taken by apart on www1."),
        ("guestbook", "", "/sea", "app_url_prefix: /sea of guestbook's domain is taken by tides on www1."),
        (
            "newcomer",
            "nobody",
            "/sea",
            "app_mounted_below: www1 has no application nobody with a domain of its own. Run the site.yml of nobody first",
        ),
        (
            "newcomer",
            "tides",
            "/bay",
            "app_mounted_below: www1 has no application tides with a domain of its own.",
        ),
        (
            "guestbook",
            "apart",
            "/book",
            "app_mounted_below: guestbook would give up its own domain, and on www1 these applications are below that domain and",
        ),
    ],
)
def test_no_application_is_below_what_is_not_there_or_takes_the_path_of_another(
    site: str, below: str, path: str, said: str
) -> None:
    complaints = below_complaints(FILES, site, below=below, path=path, host="www1", root="/etc/nginx")
    assert bool(complaints) == bool(said)
    assert " ".join(complaints).startswith(said)


def test_a_site_keeps_its_domain_and_its_edge_while_others_are_below_it() -> None:
    assert sites_below(FILES, "guestbook") == ["other", "tides"]
    assert sites_below(FILES, "apart") == []
    (said,) = below_complaints(FILES, "guestbook", below="", path="", host="www1", root="/etc/apache2")
    assert said.startswith(
        "edge: guestbook would move to another web server, and on www1 these applications are below that domain and cannot come along: other, "
        "tides. First remove each, or give it a domain of its own:"
    )
    assert said.endswith("Once guestbook has moved, they can be below it again, with the same edge.")


def test_a_site_is_in_the_web_server_that_has_the_domain() -> None:
    (said,) = below_complaints(FILES, "tides", below="guestbook", path="/sea", host="www1", root="/etc/apache2")
    assert said.startswith(
        "edge: on www1 the domain of guestbook (app_mounted_below) is in another web server than the"
    )


def test_the_names_are_those_of_the_domain() -> None:
    known = ["book.test", "www.book.test"]
    assert name_complaints(["www.book.test"], "guestbook", known) == []
    (said,) = name_complaints(["book.test", "10.0.0.7"], "guestbook", known)
    assert said.startswith("app_domains: 10.0.0.7 is not among the domains of guestbook, ")
    assert said.endswith(
        "Set app_domains to [book.test, www.book.test]; or add it to app_domains of guestbook first, and run the site.yml of guestbook."
    )


@pytest.mark.parametrize("case", [TIDES, {**TIDES, **EVERYTHING}, {**TIDES, "edge_upstream_protocol": "uwsgi"}])
def test_a_site_below_another_s_domain_claims_nothing_outside_its_path(case: dict[str, Any]) -> None:
    """No server, no name, no address, no certificate; of the other's server it has locations that carry its path or name."""
    text = edge_file("nginx", r"sites-enabled/tides$", case)
    assert not re.search(r"^\s*(server \{|server_name|listen|ssl_|location)\b", text, re.MULTILINE)
    # By these two paths the engine and the maintenance know a site's file.
    assert "/run/tides/app." in text
    assert "/slipway/tides/maintenance" in text
    text = edge_file("nginx", r"below-guestbook/\+sea@tides\.conf$", case)
    outer = re.findall(r"^location (.+) \{$", text, re.MULTILINE)
    assert {"= /sea", "^~ /sea/"} < set(outer)
    assert all(place in ("= /sea", "^~ /sea/") or place.startswith("@tides__") for place in outer)
    # Nothing leads to a location or a page of the other's.
    assert set(re.findall(r"@(\w+)", text)) == set(re.findall(r"@(tides__\w+)", text))
    assert all(place.startswith("/sea/") for place in re.findall(r"^ +location (?:=|\^~) (\S+)", text, re.MULTILINE))
    assert not re.search(r"error_page [^;]* /\.slipway", text)
    # No answer of the application leads to what the other keeps from visitors.
    passing = re.findall(r"^ *(proxy|uwsgi)_pass ", text, re.MULTILINE)
    assert text.count("_ignore_headers X-Accel-Redirect;") == len(passing) > 0
    # What that server says of all its locations is said again in each of these.
    assert text.count("include slipway/tides/below.conf;") == len(outer)
    settings = edge_file("nginx", r"slipway/tides/below\.conf$", case)
    # The owner's headers are in every answer, as the site's own are.
    own = len(re.findall(r"^ *add_header X-Content-Type-Options ", text, re.MULTILINE))
    for header in ("Alt-Svc $below_alt_svc", "Retry-After $tides__retry_after"):
        assert text.count(f"add_header {header} always;") == own > 0
    for directive in ("access_log", "error_log", "gzip ", "X-Forwarded-For|HTTP_X_FORWARDED_FOR"):
        assert re.search(directive, settings)


def test_the_owner_s_server_has_room_for_others_and_keeps_its_passwords_from_them() -> None:
    text = site_file("nginx", {})
    assert text.count("include slipway/below-site/*.conf;") == 1
    assert "set $below_authorization $http_authorization;" in text
    users = [{"path": "/", "users": {"ada": "$5$aaaaaaaa$aaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}}]
    assert "set $below_authorization $site__authorization;" in site_file("nginx", {"edge_paths": users})
    assert re.search(
        r"proxy_set_header Authorization +\$below_authorization;",
        edge_file("nginx", r"slipway/tides/below\.conf$", TIDES),
    )
    assert 'set $below_alt_svc "";' in text
    assert "set $below_alt_svc $site__alt_svc;" in site_file(
        "nginx", {"edge_http3": True, "edge_tls_names": ["site.test"]}
    )
    assert 'set $below_retry_seconds "";' in text
    limits = [{"path": "/sea", "requests_per_minute": 1}]
    assert "set $below_retry_seconds $site__retry_seconds;" in site_file("nginx", {"edge_paths": limits})
    claim = edge_file("nginx", r"below-site/@site\.conf$", {})
    assert "\n# Names: site.test www.site.test *.site.test\n" in claim


SECTION = re.compile(r"^ *<(\w+) (.*)>\n(?:.*\n)*? *</\1>\n", re.MULTILINE)
# What a virtual host may have of a site that is below its domain, with the site's own condition, name or path.
APACHE_SECTIONS = re.compile(
    r"If \"reqenv\('BELOW'\) == 'tides'( && .*)?\"$|Proxy \"unix:/run/tides/|LocationMatch \"\^/sea/|Directory \"(/srv|/etc/apache2/slipway)/tides/?"
)
APACHE_LINES = re.compile(
    r"Rewrite(Engine|Map|Cond|Rule) |Header .* \"expr=reqenv\('BELOW'\) == 'tides' && |CustomLog .* \"expr=reqenv\('BELOW'\) == 'tides'\"$|"
    r"SetEnvIf .* (DIGEST_OF_tides|UNDERSCORE)$|ProxyPass \"/sea\" \"unix:/run/tides/app.sock\|http://tides/sea\" |"
    r"ProxyPassMatch \"\^\(\?=/sea\(\?:/\|\$\)\)|"
    r"AllowEncodedSlashes NoDecode$"  # of the domain, which may have no application of its own
)


@pytest.mark.parametrize(
    "case",
    [TIDES, {**TIDES, **EVERYTHING, "edge_paths": [{"path": "/sea/a", "timeout_seconds": 9, "buffering": False}]}],
)
def test_behind_apache_a_site_below_another_s_domain_says_nothing_of_other_requests(case: dict[str, Any]) -> None:
    text = edge_file("apache", r"sites-enabled/tides\.conf$", case)
    assert not re.search(r"^\s*[^#\s]", text, re.MULTILINE)
    # By these two paths the engine and the maintenance know a site's file.
    assert "/run/tides/app.sock" in text
    assert "/slipway/tides/maintenance" in text
    text = edge_file("apache", r"below-guestbook/\+sea@tides\.conf$", case)
    assert [
        f"{name} {what}" for name, what in SECTION.findall(text) if not APACHE_SECTIONS.match(f"{name} {what}")
    ] == []
    lines = [line.strip() for line in SECTION.sub("", text).splitlines()]
    assert [line for line in lines if line and line[0] != "#" and not APACHE_LINES.match(line)] == []
    assert lines.count("AllowEncodedSlashes NoDecode") == 1
    # Others skip its rules, and its own requests those that follow.
    rules = [line for line in lines if line.startswith("RewriteRule ")]
    assert rules[:2] == ['RewriteRule "^" "-" [E=BELOW:tides]', f'RewriteRule "^" "-" [S={len(rules) - 2}]']
    assert rules[-1] == 'RewriteRule "^" "-" [L]'


def test_the_owner_s_virtual_host_has_room_for_others_and_keeps_its_headers_log_and_passwords_from_them() -> None:
    users = [{"path": "/", "users": {"ada": "$5$aaaaaaaa$aaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}}]
    include = "    IncludeOptional slipway/below-site/*.conf\n"
    ((before, after),) = (
        site.split(include) for site in SITE.findall(site_file("apache", {"edge_paths": users})) if include in site
    )
    assert "RequestHeader unset Authorization" in before
    for word in ("E=EDGE_PATH:", "X-Content-Type-Options", "CustomLog"):
        assert word in before
        assert word not in after
    assert "E=MAINTENANCE" not in before
    assert all(
        "-z reqenv('BELOW')" in line for line in before.splitlines() if re.search("CustomLog|Header always", line)
    )
    claim = edge_file("apache", r"below-site/@site\.conf$", {})
    assert "\n# Names: site.test www.site.test *.site.test\n" in claim


@pytest.mark.parametrize("server", ["nginx", "apache"])
def test_a_site_that_only_redirects_has_no_room_for_others(server: str) -> None:
    with pytest.raises(ValueError, match="not enough values"):
        edge_file(server, r"below-site/", {"edge_redirect_to": "https://new.test", "edge_upstream_socket": ""})
