"""A site that only redirects (edge_redirect_to): whether its target can be one."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

# What both web servers take as it is: no space, quote, $, {} or ;, and no %, which Apache reads as a reference.
URL = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?(/[A-Za-z0-9._~/-]*)?")


def is_named(host: str, name: str) -> bool:
    """Whether a host is one that a name of a site stands for: example.org, *.example.org, or .example.org for both."""
    name = name.lower().strip("[]")
    return fnmatch.fnmatchcase(host, name) or (name.startswith(".") and f".{host}".endswith(name))


def redirect_complaints(url: str, server_names: Iterable[str]) -> list[str]:
    """Return why a site with these names cannot redirect all requests to a URL: sentences, none where it can."""
    how = "Write it as https://www.example.org, with a port or a path where the target has one"
    if not URL.fullmatch(url):
        return [f'"{url}" is not a URL that a path can follow. {how}, without a query, a user and encoded characters.']
    try:
        target = urlsplit(url)
        host, port = (target.hostname or "").rstrip("."), target.port
    except ValueError as error:
        return [f'"{url}" is not a URL: {error}. {how}.']
    if port == 0:
        return [f'"{url}" has port 0, which nothing listens on. {how}.']
    names = [name for name in server_names if is_named(host, name)]
    if names:
        return [
            f'"{url}" leads back to this site, whose names (app_domains) have {names[0]}, so browsers would go in circles. '
            "Take that name out of app_domains, or name another target."
        ]
    return []


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        """Return the filters by the names they have in templates."""
        return {"redirect_complaints": redirect_complaints}
