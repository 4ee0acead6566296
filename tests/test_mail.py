"""Where an application hands in its mail, and what is wrong with the settings of its relay."""

from __future__ import annotations

import ipaddress
import json
from typing import Any

import pytest
from ansible_collections.slipway.flask.plugins.filter import mail

GOOD: dict[str, Any] = {
    "name": "guestbook",
    "address": "127.81.190.81",
    "host": "smtp.example.org",
    "port": 587,
    "tls": "starttls",
    "user": "guestbook",
    "password": "correct horse",
    "sender": "noreply@example.org",
    "message_size_mb": 25,
}
SECRET = "hunter2"
# What differs from GOOD, the variable that is named, and words of its complaint.
WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"name": "x'; touch /tmp/a; '"}, "name", "cannot name a relay"),
    ({"address": "0.0.0.0"}, "address", "is not one of 127.0.0.0/8"),
    ({"host": ""}, "host", "it is empty, so nothing uses mail_relay_user and mail_relay_password. Set it"),
    ({"host": "", "user": ""}, "host", "it is empty, so nothing uses mail_relay_password. Set it"),
    ({"host": "smtp.example.org:587"}, "host", "Write the name alone"),
    ({"host": "smtp://smtp.example.org"}, "host", "Write the name alone"),
    ({"host": "a.test\nrelayhost = evil"}, "host", "is not a host name"),
    ({"host": "203.0.113.5"}, "host", "certificates are for names"),
    ({"host": "[2001:db8::1]"}, "host", "certificates are for names"),
    ({"host": "2001:db8::1", "tls": "none", "user": "", "password": ""}, "host", "its IPv4 address"),
    ({"port": 0}, "port", "0 is not a port"),
    ({"port": 65536}, "port", "65536 is not a port"),
    ({"sender": ""}, "sender", '"" is not an e-mail address'),
    ({"sender": "Guestbook <noreply@example.org>"}, "sender", "is not an e-mail address"),
    ({"sender": "noreply@localhost"}, "sender", "is not an e-mail address"),
    ({"sender": "$x@example.org"}, "sender", "is not an e-mail address"),
    ({"user": "", "password": SECRET}, "user", "is empty, and mail_relay_password is set"),
    ({"password": ""}, "password", "is empty, and mail_relay_user is set"),
    ({"tls": "none"}, "tls", "everyone on the way could read"),
    ({"user": "guest:book"}, "user", "has a colon"),
    ({"user": " guestbook"}, "user", "a space at an end"),
    ({"password": f"{SECRET}\n"}, "password", "has a line break"),
    ({"password": f"{SECRET}\nuser:x"}, "password", "has a line break"),
    ({"message_size_mb": 0}, "message_size_mb", "0 is not from 1 to 100"),
    ({"message_size_mb": 101}, "message_size_mb", "101 is not from 1 to 100"),
]


@pytest.mark.parametrize(("differs", "variable", "words"), WRONG)
def test_a_setting_that_cannot_work_is_named(differs: dict[str, Any], variable: str, words: str) -> None:
    (complaint,) = mail.mail_relay_complaints({**GOOD, **differs})
    assert complaint.startswith(f"mail_relay_{variable}: ")
    assert words in complaint
    assert SECRET not in complaint
    assert "\n" not in complaint


@pytest.mark.parametrize(
    "differs",
    [
        {},
        {"host": "relay"},
        {"host": "", "user": "", "password": "", "sender": ""},
        {"user": "", "password": ""},
        {"host": "10.0.0.5", "port": 25, "tls": "none", "user": "", "password": ""},
        {"user": "AKIA/+=@example.org", "password": "a b#$:'\"ü"},
    ],
)
def test_a_relay_that_can_work_is_accepted(differs: dict[str, Any]) -> None:
    assert mail.mail_relay_complaints({**GOOD, **differs}) == []


def test_each_application_has_an_address_of_its_server_s_own() -> None:
    names = [f"site{number}" for number in range(50)]
    addresses = [ipaddress.ip_address(mail.loopback_address(name)) for name in names]
    assert len(set(addresses)) == len(names)
    assert all(address in ipaddress.ip_network("127.64.0.0/10") for address in addresses)
    assert mail.loopback_address("guestbook") == "127.81.190.81"  # the same forever: releases have it in their settings


# How applications read MAIL_USE_TLS. Those that ask only whether it is set begin with STARTTLS, which the scenario tries.
@pytest.mark.parametrize(
    "read",
    [
        lambda value: bool(int(value)),
        lambda value: value.lower() in ("true", "on", "1", "yes"),
        lambda value: value == "True",
        json.loads,
    ],
)
def test_the_environment_says_that_mail_is_handed_in_without_tls(read: Any) -> None:
    environment = mail.mail_environment("127.65.0.1", "noreply@example.org")
    for prefix in ("", "FLASK_"):
        assert not read(environment[f"{prefix}MAIL_USE_TLS"])
        assert environment[f"{prefix}MAIL_SERVER"] == "127.65.0.1"
        assert int(environment[f"{prefix}MAIL_PORT"]) == mail.PORT
        assert environment[f"{prefix}MAIL_DEFAULT_SENDER"] == "noreply@example.org"
    assert not {"MAIL_USERNAME", "MAIL_PASSWORD", "MAIL_USE_SSL"} & environment.keys()
