"""The outgoing mail of an application: where it hands it in, and what is wrong with the settings of its relay."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

LABEL = r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
HOST = re.compile(rf"{LABEL}(\.{LABEL})*")
SENDER = re.compile(rf"[A-Za-z0-9._%+-]{{1,64}}@{LABEL}(\.{LABEL})+")
PORT = 24  # for any private mail system (IANA): below 1024, so root's, and a mail server of somebody else has 25
MOST_MB = 100


def loopback_address(name: str) -> str:
    """Return an application's own address of 127.64.0.0/10, which every server has: two of 4 million names get the same."""
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    return str(ipaddress.ip_address("127.64.0.0") + number % (1 << 22))


def mail_environment(address: str, sender: str) -> dict[str, str]:
    """Return the environment in the names of Flask-Mail, once more with FLASK_ for from_prefixed_env().

    MAIL_USE_TLS is 0, which is false for int(), json and lists of words; who asks only whether it is set begins with
    STARTTLS, which the relay understands. MAIL_USE_SSL and the user are not set: that is what none is everywhere.
    """
    mail = {"SERVER": address, "PORT": str(PORT), "USE_TLS": "0", "DEFAULT_SENDER": sender}
    return {f"{prefix}MAIL_{name}": value for prefix in ("", "FLASK_") for name, value in mail.items()}


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _wrong_host(host: str, tls: str) -> str:
    """Return what is wrong with the relay's name; empty where nothing is."""
    if _is_address(host):
        if tls != "none":
            return "is an address, and certificates are for names. Set the name of the relay."
        return "" if HOST.fullmatch(host) else "is an IPv6 address. Set the name of the relay, or its IPv4 address."
    if not HOST.fullmatch(host):
        return "is not a host name. Write the name alone, such as smtp.example.org; the port is mail_relay_port."
    return ""


def mail_relay_complaints(settings: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the settings of a relay, a sentence for each; no secret is in one.

    settings: the variables mail_relay_* without their prefix. Without a host a user and a password are wrong, and nothing else.
    """
    host, user, password, tls = (settings[name] for name in ("host", "user", "password", "tls"))
    if host == "":
        given = " and ".join(f"mail_relay_{name}" for name in ("user", "password") if settings[name])
        complaint = f"mail_relay_host: it is empty, so nothing uses {given}. Set it to your provider's mail server, or take {given} out."
        return [complaint] if given else []
    size, port = int(settings["message_size_mb"]), int(settings["port"])
    host_wrong = _wrong_host(host, tls)
    checks = [
        (
            re.fullmatch(r"[a-z][a-z0-9_]{0,30}", settings["name"]),
            f"mail_relay_name: {json.dumps(settings['name'])} cannot name a relay. Use lower-case letters, digits and underscores, a letter "
            "first.",
        ),
        (
            re.fullmatch(r"127(\.[0-9]{1,3}){3}", settings["address"]),
            f"mail_relay_address: {json.dumps(settings['address'])} is not one of 127.0.0.0/8, which no other host reaches. Set "
            "one that no other program of the server uses, such as 127.0.0.25.",
        ),
        (host_wrong == "", f"mail_relay_host: {json.dumps(host)} {host_wrong}"),
        (0 < port < 65536, f"mail_relay_port: {port} is not a port. Set the one of your provider, usually 587 or 465."),
        (
            SENDER.fullmatch(settings["sender"]),
            f"mail_relay_sender: {json.dumps(settings['sender'])} is not an e-mail address. Set the one that the application sends from, "
            "such as noreply@example.org.",
        ),
        (password or not user, "mail_relay_password: it is empty, and mail_relay_user is set. Set both, or neither."),
        (user or not password, "mail_relay_user: it is empty, and mail_relay_password is set. Set both, or neither."),
        (
            not user or tls != "none",
            "mail_relay_tls: with none, everyone on the way could read mail_relay_password. Set it to starttls or implicit, or take "
            "mail_relay_user and mail_relay_password out.",
        ),
        (
            user == user.strip() and user.isprintable() and ":" not in user,
            f"mail_relay_user: {json.dumps(user)} has a colon, a line break, or a space at an end, which Postfix cannot "
            "read. Set it to the name that your provider gave you.",
        ),
        (
            password == password.strip() and password.isprintable(),
            "mail_relay_password: it has a line break, or a space at an end, which Postfix cannot read. In YAML, a value after a | "
            "ends with one.",
        ),
        (
            1 <= size <= MOST_MB,
            f"mail_relay_message_size_mb: {size} is not from 1 to {MOST_MB}. Set how many MB one mail may have.",
        ),
    ]
    return [complaint for holds, complaint in checks if not holds]


class FilterModule:
    """What Ansible finds here."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "loopback_address": loopback_address,
            "mail_environment": mail_environment,
            "mail_relay_complaints": mail_relay_complaints,
        }
