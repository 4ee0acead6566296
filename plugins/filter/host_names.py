"""The host names of a site, as a user writes them (`app_domains`)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable

LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
LONGEST = 253  # characters (RFC 1035, 2.3.4)
# Python's idna is IDNA2003, to which these are other letters than to browsers, or none.
AMBIGUOUS = re.compile("[ßς\u200c\u200d]")


def _is_address(name: str) -> bool:
    try:
        # An IPv6 address has brackets in a URL, and here.
        address = ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return (address.version == 6) == (name[:1] == "[" and name[-1:] == "]") and "%" not in name


def _in_letters(name: str) -> str:
    """Return how to write a name that has other letters than those of DNS."""
    try:
        if not AMBIGUOUS.search(name):
            return f"has other letters than a to z. Write it as browsers ask for it: {name.lower().encode('idna').decode()}."
    except UnicodeError:
        pass  # it cannot be a name at all; which letters can is said all the same
    return "has other letters than a to z. Write it as your registrar shows it for DNS, beginning with xn--."


def _wrong_parts(name: str) -> str:
    """Return what is wrong with the parts of a name between its dots; empty where nothing is."""
    # *.example.org is every name below it; to nginx, .example.org is example.org too.
    labels = re.sub(r"^\*?\.", "", name).split(".")
    if "*" in "".join(labels):
        return "is not a pattern that Slipway supports. Write *.example.org for all names below example.org."
    if "" in labels:
        return "has a dot too many. Write it as guestbook.example.org."
    if len(name) > LONGEST or not all(map(LABEL.fullmatch, labels)):
        return (
            "is not a host name. Use letters, digits and hyphens (none at the beginning or end of a part), in parts of at most 63 "
            "characters with dots between them, such as guestbook.example.org."
        )
    if labels[-1].isdigit():
        return "is neither an IP address nor a host name. Write all four numbers of an address, such as 203.0.113.5."
    return ""


def _wrong(name: str) -> str:
    """Return what is wrong with one name, and what to write; empty where it can be one."""
    host, colon, port = name.rpartition(":")
    if "/" in name:
        return "is a URL. List host names alone, without http://, https:// and a path; edge_tls says whether the site has HTTPS."
    if _is_address(name):
        return ""
    if _is_address(f"[{name}]"):
        return f'is an IPv6 address, which needs brackets. Write it as "[{name}]".'
    if colon and port.isdigit():
        return f"has a port. Write {host}; ports are nginx_listen and apache_listen."
    if "_" in name:
        return "has an underscore, which no host name may have. Use a hyphen, and a name that DNS knows."
    if not name.isascii():
        return _in_letters(name)
    return _wrong_parts(name)


def host_name_complaints(names: Iterable[object]) -> list[str]:
    """Return a sentence for each host name of a site that cannot be one, or that it has none."""
    given = [str(name) for name in names]
    if not given:
        return ["it is empty. List the host names that the site answers to."]
    return [f'"{name}" {wrong}' for name in given if (wrong := _wrong(name))]


class FilterModule:
    """What Ansible finds here."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        """Return the filter by name."""
        return {"host_name_complaints": host_name_complaints}
