"""What is said of variables before anything changes."""

from __future__ import annotations

import yaml
from ansible_collections.slipway.flask.plugins.action import validate_variables

from plugin import ROOT


def test_a_variable_that_has_to_be_set_is_named_with_what_it_is() -> None:
    options = validate_variables.options_of(ROOT / "roles", "app")
    (sentence,) = validate_variables.missing({"app_name": "guestbook"}, options)
    assert sentence.startswith("app_source: it is not set. Where the application is; a folder on the control machine")


def test_a_typing_error_gets_the_nearest_name() -> None:
    known = {"app_module", "app_name", "nginx_gzip"}
    assert validate_variables.unknown(["app_modul", "http_proxy", "app_name"], known, ("app_", "nginx_")) == [
        "app_modul: there is no such variable; did you mean app_module?"
    ]


def test_a_string_is_no_list() -> None:
    options = {"app_domains": {"type": "list"}, "app_name": {"type": "str"}}
    assert validate_variables.not_lists({"app_domains": "www.example.com", "app_name": "x"}, options) == [
        "app_domains: 'www.example.com' is no list; write it as [www.example.com]."
    ]
    assert validate_variables.not_lists({"app_domains": ["www.example.com"]}, options) == []


def test_an_environment_s_templates_are_found_for_every_role_that_takes_some() -> None:
    known = {
        name for role in (ROOT / "roles").iterdir() for name in validate_variables.options_of(ROOT / "roles", role.name)
    }
    wiring = yaml.safe_load((ROOT / "playbooks/wiring.yml").read_text())
    takers = {name for name in known if name.endswith("_templates")}
    assert takers == {name for name in wiring if name.endswith("_templates") and name[0] != "_"} > {"nginx_templates"}


def test_every_variable_of_the_wiring_is_some_role_s() -> None:
    known = {
        name for role in (ROOT / "roles").iterdir() for name in validate_variables.options_of(ROOT / "roles", role.name)
    }
    lines = (ROOT / "playbooks/wiring.yml").read_text().splitlines()
    wired = [line.partition(":")[0] for line in lines if line[:1].isalpha()]
    assert len(wired) > 10
    assert set(wired) <= known
