"""The TLS settings of the edges are those of Mozilla's file."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from checkers import GUIDELINE
from probe import ROOT
from test_edge_sites import edge_file

SETTINGS: dict[str, Any] = yaml.safe_load((ROOT / "roles/edge/vars/tls.yml").read_text())["edge_tls_guideline"]


def test_the_version_and_the_source_are_those_of_the_file() -> None:
    assert SETTINGS["version"] == str(GUIDELINE["version"])
    assert SETTINGS["source"] == GUIDELINE["href"]


@pytest.mark.parametrize("profile", GUIDELINE["configurations"])
def test_a_profile_has_the_versions_ciphers_and_groups_of_the_file(profile: str) -> None:
    wanted, has = GUIDELINE["configurations"][profile], SETTINGS[profile]
    assert {
        "tls_versions": has["protocols"],
        "ciphers": has["ciphers"],
        "ciphersuites": has["cipher_suites"],
        "tls_curves": has["groups"],
        "server_preferred_order": has["prefer_server_ciphers"],
    } == {
        "tls_versions": wanted["tls_versions"],
        "ciphers": wanted["ciphers"]["openssl"],
        "ciphersuites": wanted["ciphersuites"],
        "tls_curves": wanted["tls_curves"],
        "server_preferred_order": wanted["server_preferred_order"],
    }


@pytest.mark.parametrize("profile", GUIDELINE["configurations"])
def test_before_openssl_3_5_only_the_post_quantum_group_is_left_out(profile: str) -> None:
    has = SETTINGS[profile]
    assert has["groups_before_openssl_3_5"] == [group for group in has["groups"] if group != "X25519MLKEM768"]


@pytest.mark.parametrize("profile", GUIDELINE["configurations"])
@pytest.mark.parametrize("debian", ["12", "13"])
@pytest.mark.parametrize("server", ["nginx", "apache"])
def test_tickets_and_stapling_are_as_the_data_file_says_and_why(server: str, debian: str, profile: str) -> None:
    """Tickets only where the server changes their key: nginx since 1.23.2. No stapling: the CAs have ended it."""
    variables = {"edge_tls_profile": profile, "ansible_facts": {"distribution_major_version": debian}}
    text = edge_file(server, rf"{server}2?\.conf$", variables)
    tickets = "on" if (server, debian) == ("nginx", "13") else "off"
    wanted = {
        "nginx": [f"ssl_session_tickets {tickets};", "ssl_stapling off;"],
        "apache": [f"SSLSessionTickets {tickets.title()}", "SSLUseStapling Off"],
    }[server]
    lines = [line.strip() for line in text.splitlines()]
    assert [line for line in lines if "ickets" in line or "tapling" in line] == wanted
