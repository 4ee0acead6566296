"""The TLS settings of the edges are those of Mozilla's file."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from checkers import GUIDELINE
from probe import ROOT

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
