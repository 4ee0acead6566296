"""Which URLs name a static file that may be published; the edges' side of plugins/module_utils/engine/publish.py."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any


def static_name_pattern(url: str, kinds: Iterable[str], forbidden: Iterable[str]) -> str:
    """Return a regular expression (PCRE and Python) that a decoded path matches where it names what may be published.

    url: the static URL, with a slash at both ends; "/" is a site that is its files alone, or has them at its root: it has /.well-known/ too.
    kinds: suffixes without a dot, one of which a name has to end with; "" is a name without any. forbidden: suffixes that a
    name must not have anywhere. Neither has characters with a meaning in a regular expression. Match it case-insensitively.

    It has neither a double quote nor a brace, nor a backslash before another: it can be quoted in the
    configuration of nginx and Apache. What an edge leaves as %2F is a slash to the application, so no name has it.
    """
    never = "(?!)"
    suffixes = sorted({*kinds} - {*forbidden, ""})
    ends = rf"(?:\.(?!(?:{'|'.join(forbidden) or never})\.)[^./]*)*\.(?:{'|'.join(suffixes) or never})"
    start = re.escape(url)
    name = rf"(?:[^./][^/]*/)*[^.#~/][^./]*{f'(?:{ends})?' if '' in kinds else ends}"
    if url == "/":
        # There names are often without a suffix (publish.WELL_KNOWN).
        name = rf"(?:{name}|\.well-known/(?:[^./][^/]*/)*[^.#~/][^./]*(?:{ends})?)"
    return rf"^(?!.*(?:[\x00-\x1f\x7f\x5c]|%2f|~$)){start}{name}$"


class FilterModule:
    """The filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return them by name."""
        return {"static_name_pattern": static_name_pattern}
