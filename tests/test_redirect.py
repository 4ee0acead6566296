"""Where a site that only redirects may lead to (edge_redirect_to)."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.flask.plugins.filter.redirect import redirect_complaints

NAMES = ["old.test", "*.old.test", ".dot.test", "203.0.113.5", "[2001:db8::1]"]


@pytest.mark.parametrize(
    "url",
    [
        "https://www.example.com",
        "https://www.example.com/",
        "http://new.test:8080/shop/",
        "https://[2001:db8::2]:8443",
        "https://xn--mnchen-3ya.example/a_b~c.d",
        "https://very-old.test",
    ],
)
def test_a_url_that_a_path_can_follow_is_a_target(url: str) -> None:
    assert redirect_complaints(url, NAMES) == []


@pytest.mark.parametrize(
    "url",
    [
        "www.example.com",
        "ftp://new.test",
        "//new.test",
        "https://",
        "https:///shop",
        "https://new.test/?to=",
        "https://new.test/#to",
        "https://user@new.test",
        "https://new.test/a b",
        "https://new.test/a%20b",
        "https://new.test/$host",
        "https://new.test/{x}",
        "https://new.test/';",
        'https://new.test/"',
        "https://new.test\n",
        "https://new.test:0",
        "https://new.test:65536",
        "https://2001:db8::2/",
        "https://[new.test]",
        "https://[1:2]",
    ],
)
def test_what_is_not_such_a_url_is_refused_by_its_value(url: str) -> None:
    (complaint,) = redirect_complaints(url, NAMES)
    assert complaint.startswith(f'"{url}" ')
    assert "https://www.example.org" in complaint


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://Old.test", "old.test"),
        ("https://old.test:8443/x", "old.test"),
        ("https://old.test./x", "old.test"),
        ("https://www.old.test", "*.old.test"),
        ("https://dot.test", ".dot.test"),
        ("https://www.dot.test", ".dot.test"),
        ("https://203.0.113.5", "203.0.113.5"),
        ("https://[2001:DB8::1]", "[2001:db8::1]"),
    ],
)
def test_a_site_does_not_lead_back_to_itself(url: str, name: str) -> None:
    (complaint,) = redirect_complaints(url, NAMES)
    assert f"whose names (app_domains) have {name}," in complaint
