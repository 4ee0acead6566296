"""What an edge does with a part of a site: who gets in, how often, and how it is passed to the application (`edge_paths`)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Option = Mapping[str, Any]
# Of a path as a URL has it: no character has a meaning in a regular expression but the dot.
PATH = re.compile(r"/(?:[A-Za-z0-9._~-]+/)*(?:[A-Za-z0-9._~-]+)?")
USER = re.compile(r"[^\s:]+")
# What crypt(3) of Debian 12 and 13 understands, and so nginx and Apache: SHA-256, SHA-512, bcrypt, yescrypt.
HASH = re.compile(r"\$(?:[56]|2[aby]|y)\$[./A-Za-z0-9$=,]{20,}")
SIZE = re.compile(r"[0-9]+[kmg]?", re.IGNORECASE)
COOKIE = re.compile(r"[A-Za-z0-9_.-]+\*?")
# nginx has room for a name of that length behind the longest name of a site (variables_hash_bucket_size).
MOST_LETTERS = 32
# What a map of nginx takes for something else than a value, and what the edges call WebSockets of any path.
KEYWORDS = ("default", "hostnames", "include", "volatile", "websocket")
COUNTS = ("requests_per_minute", "connections")
# What is not said of a path. "" and 0 of the last two are the edge's own; a body_limit of "0" is unlimited.
UNSAID: dict[str, Any] = {
    "allow": [],
    "users": {},
    "requests_per_minute": 0,
    "burst": 10,
    "connections": 0,
    "buffering": True,
    "cache": {},
    "body_limit": "",
    "timeout_seconds": 0,
}
# What nginx has to know of a location, as no variable can say it.
PASSING = ("body_limit", "timeout_seconds", "buffering", "cache")


def _plain(path: str) -> str:
    """Return a path without the slash at its end: "" is the whole site."""
    return path.rstrip("/")


def _parts(path: str, slash: str) -> str:
    return "".join(slash + re.escape(part).replace(r"\-", "-").replace(r"\~", "~") for part in path.split("/") if part)


def _name(path: str, taken: Iterable[str]) -> str:
    """Return a name for a path that a variable of nginx may have in its own."""
    name = re.sub(r"[^A-Za-z0-9]+", "_", path).strip("_").lower()[:MOST_LETTERS] or "site"
    while name in (*taken, *KEYWORDS):
        name += "_"
    return name


def paths(values: Iterable[Option], *, pages: bool = False) -> list[dict[str, Any]]:
    """Return the paths with what they inherit from shorter ones that contain them, the longest first.

    pages: whether the site is its files alone. There /about is /about.html as well, and each file is its compressed twins
    (publish.compress), which are files with names of their own.
    Each has all options (UNSAID) and:
    `path`: "" for the whole site;
    `name`: of letters, digits and underscores, each path its own;
    `pattern`: a regular expression for decoded paths that are it or below, to be used case-insensitively;
    `encoded_pattern`: the same for paths in which %2F is not decoded;
    `counts`: for each of COUNTS, the name of the path whose count it shares, or "";
    `passing`: whether it is passed to the application in another way than the rest of the site.
    """
    found: list[dict[str, Any]] = []
    for value in sorted(values, key=lambda one: len(_plain(one["path"]))):
        own = {key: given for key, given in value.items() if given is not None} | {"path": _plain(value["path"])}
        if "body_limit" in own:
            own["body_limit"] = str(own["body_limit"])
        own["name"] = _name(own["path"], [one["name"] for one in found])
        if own.get("cache"):
            own["cache"] = {"ignored_cookies": [], **own["cache"]}
        # The last that contains it is the longest, and has inherited from the others.
        above = [one for one in found if f"{own['path']}/".lower().startswith(f"{one['path']}/".lower())]
        parent = above[-1] if above else {}
        merged = {**UNSAID, **parent, **own}
        merged["counts"] = {
            count: parent.get("counts", {}).get(count, "") if count not in own else own["name"] if own[count] else ""
            for count in COUNTS
        }
        # What is passed as the rest of the site is needs no location of its own.
        rest = found[0] if found and not found[0]["path"] else UNSAID
        merged["passing"] = any(merged[option] != rest[option] for option in PASSING)
        page = r"(?:\.html)?(?:\.(?:br|gz))?" if pages else ""
        end, encoded = (f"{page}(?:/|$)", f"{page}(?:/|%2f|$)") if own["path"] else ("", "")
        merged["pattern"] = f"^{_parts(own['path'], '/')}{end}"
        merged["encoded_pattern"] = f"^{_parts(own['path'], '(?:/|%2f)+')}{encoded}"
        found.append(merged)
    return found[::-1]


def whole_site(values: Iterable[Option]) -> dict[str, Any]:
    """Return the options of "/" among what paths() returns."""
    return next((dict(one) for one in values if not one["path"]), UNSAID)


def only_cookies(names: Iterable[str]) -> str:
    """Return a regular expression that matches a header Cookie with no other cookies than these; * at the end of a name is any."""
    known = "|".join(re.escape(name.rstrip("*")) + ("[^=;]*" if name.endswith("*") else "") for name in names)
    return rf"^\s*(?:(?:{known or '(?!)'})=[^;]*(?:;\s*|$))*$"


def user_files(values: Iterable[Option], prefix: str) -> list[dict[str, str]]:
    """Return the files of who may log in, by what paths() returns: `path`, which begins with the prefix, and `content`."""
    return [
        {
            "path": prefix + one["name"],
            "content": "".join(f"{user}:{hashed}\n" for user, hashed in sorted(one["users"].items())),
        }
        for one in values
        if one.get("users")
    ]


def _is_network(value: object) -> bool:
    try:
        network = ipaddress.ip_network(str(value))
    except ValueError:
        return False
    # Apache has no /0.
    return "%" not in str(value) and network.prefixlen > 0


def _is_positive(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _wrong_option(value: Option) -> list[str]:
    """Return what is wrong with the options of one path."""
    said = [
        f"allow has {network}, which is neither an address nor a network such as 203.0.113.0/24 (10.1.2.3/24 is 10.1.2.0/24)"
        for network in value.get("allow") or []
        if not _is_network(network)
    ]
    for user, hashed in (value.get("users") or {}).items():
        if not USER.fullmatch(str(user)):
            name = str(user).partition(":")[0]  # what follows may be a password
            said.append(f"users: the name that begins with {name!r} has a space or a colon, which no name may have")
        elif not HASH.fullmatch(str(hashed)):  # which may be a password, so it is not shown
            said.append(
                f"users: what is given for {user} is not a hash; `htpasswd -nB {user}` or `openssl passwd -6` makes one"
            )
    said += [
        f"{count} is {value[count]}, and has to be 0 (none) or more"
        for count in (*COUNTS, "burst")
        if value.get(count) is not None and value[count] < 0
    ]
    if value.get("body_limit") is not None and not SIZE.fullmatch(str(value["body_limit"])):
        said.append(f"body_limit is {value['body_limit']}, which is not a size such as 500m or 2g (0 means unlimited)")
    if value.get("timeout_seconds") is not None and not _is_positive(value["timeout_seconds"]):
        said.append(f"timeout_seconds is {value['timeout_seconds']}, and has to be above zero")
    cache = value.get("cache") or {}
    if cache and not _is_positive(cache.get("valid_seconds")):
        said.append("cache needs valid_seconds above zero")
    strange = [name for name in cache.get("ignored_cookies") or [] if not COOKIE.fullmatch(str(name))]
    if strange:
        said.append(f"ignored_cookies has {', '.join(map(repr, strange))}, which cannot name a cookie (_ga, _pk_*)")
    return said


def path_complaints(values: Iterable[Option]) -> list[str]:
    """Return a sentence for each thing that is wrong with `edge_paths`; the argument spec has judged types and unknown options."""
    said = []
    good = []
    for value in values:
        path = str(value.get("path"))
        if not PATH.fullmatch(path) or {".", ".."} & {*path.split("/")}:
            said.append(f'"{path}" is not a path: it begins with a slash, without a query and %, such as /admin')
            continue
        said += [f"{path}: {wrong}" for wrong in _wrong_option(value)]
        good.append(value)
    plain = [_plain(value["path"]).lower() for value in good]
    said += [f"{path or '/'} is there twice" for path in sorted({path for path in plain if plain.count(path) > 1})]
    if not said:
        said += [
            f"{value['path']}: burst is for the path that has requests_per_minute itself"
            for value in good
            if value.get("burst") is not None and not value.get("requests_per_minute")
        ]
        for one in paths(good):
            path = one["path"] or "/"
            if one.get("cache") and one.get("buffering") is False:
                said.append(f"{path}: what is not buffered cannot be cached; set buffering or cache")
    return said


def paths_with(values: Iterable[Option], options: Iterable[str]) -> list[str]:
    """Return which paths have one of some options, with its name, for a server that has none of them."""
    return [f"{value['path']} ({option})" for value in values for option in options if value.get(option)]


class FilterModule:
    """The filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return them by name."""
        return {
            "only_cookies": only_cookies,
            "path_complaints": path_complaints,
            "paths": paths,
            "paths_with": paths_with,
            "user_files": user_files,
            "whole_site": whole_site,
        }
