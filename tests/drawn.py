"""Values for a role's variables, drawn at random from their argument specs, with what can end a quote, a line or a word."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ansible_collections.slipway.flask.plugins.plugin_utils import forms
from hypothesis import strategies as st

import readers
import rendered

NASTY = [
    *(
        "'",
        '"',
        "`",
        "\\",
        "\\\\",
        ";",
        " ;",
        "#",
        " #",
        "%",
        "%%",
        "$",
        "{",
        "}",
        "<",
        ">",
        "|",
        "&",
        ",",
        "=",
        ":",
        "!",
        "*/",
        "/*",
    ),
    *(
        " ",
        "\t",
        "\n",
        "\r",
        "\0",
        "\x1b",
        "\x7f",
        "\x85",
        "\u2028",
        "é",
        "\U0001f40d",
        "-",
        "--",
        "/",
        "..",
        "~",
        "@",
        "[",
        "]",
        "(",
        ")",
    ),
    *(
        "$(id)",
        "${HOME}",
        "$HOME",
        "$host",
        "%h",
        "%(here)s",
        "%{HTTP_HOST}",
        "{{ 7 * 7 }}",
        "{% raw %}",
        "''",
        '""',
        "\\n",
        "\\x41",
    ),
    *(
        "; return 301 http://evil/",
        "} server {",
        "\nExecStart=/bin/evil",
        "\n[program:evil]",
        "\nEND\n",
        "<Location />",
        "# x",
    ),
    *("null", "true", "no", "0", "END", "a" * 3000),
]
# A value without anything special, of variables that do not take just any word.
HARMLESS = {
    "apache_deflate_types": "text/harmless",
    "apache_limit_request_body": "16m",
    "apache_listen": "80",
    "apache_request_buffer_size": "1m",
    "apache_tls_listen": "443",
    "app_build_deploy_key": "-----BEGIN OPENSSH PRIVATE KEY-----\nharmless\n",
    "app_health_path": "/harmless",
    "app_timers.on_calendar": "daily",
    "certificates_acme_directory_url": "https://ca.test/harmless",
    "certificates_acme_email": "harmless@example.org",
    "certificates_names": "harmless.example.org",
    "connection_limit_exempt": "203.0.113.5",
    "edge_acme_webroot": "/harmless",
    "edge_canonical_host": "site.test",
    "edge_maintenance_flag": "/harmless/flag",
    "edge_maintenance_open_paths": "/harmless",
    "edge_paths.allow": "203.0.113.0/24",
    "edge_paths.body_limit": "1m",
    "edge_paths.path": "/harmless",
    "edge_paths.users": "$6$harmlessharmless$harmlessharmless",
    "edge_redirect_to": "https://new.test",
    "edge_server_names": "harmless.test",
    "edge_static_roots": "/harmless",
    "edge_static_url": "/harmless/",
    "edge_tls_certificate": "/harmless.pem",
    "edge_tls_key": "/harmless.pem",
    "edge_tls_names": "site.test",
    "edge_trusted_proxies": "203.0.113.5",
    "edge_upstream_socket": "/harmless/app.sock",
    "nginx_cache_max_size": "16m",
    "nginx_client_max_body_size": "16m",
    "nginx_gzip_types": "text/harmless",
    "nginx_limit_zone_size": "16m",
    "nginx_listen": "80",
    "nginx_proxy_buffer_size": "16k",
    "nginx_static_expires": "10m",
    "nginx_tls_listen": "443",
    "nginx_worker_processes": "auto",
    "postgresql_clients.address": "203.0.113.5/32",
    "process_manager_memory_high": "500M",
    "process_manager_memory_max": "500M",
    "process_manager_timers.on_calendar": "daily",
    "supervisor_log_max_bytes": "10MB",
    "supervisor_tmp_size": "10%",
    "systemd_shm_size": "10%",
}
# Names in a dictionary whose values are any text.
KEYS = {
    "granian_settings": ["url-path-prefix", "process-name"],
    "gunicorn_settings": ["proc_name", "access_log_format", "raw_env", "syslog_prefix"],
    "mod_wsgi_daemon_options": ["queue-timeout", "python-eggs"],
    "postgresql_settings": ["har.mless", "log_line_prefix", "archive_command", "unix_socket_group"],
    "systemd_service": ["Environment", "Description", "SyslogIdentifier", "PassEnvironment"],
    "uwsgi_settings": ["env", "procname-prefix", "log-format", "harmless"],
}
# What is not drawn, and why.
NOT_DRAWN = {
    r"\w+_templates|edge_(error|maintenance)_page_template": "templates of the control machine, which the operator writes",
    r"\w+_hashes|app_default_requirements|certificates_acme_ca_bundle": "files of the control machine, whose lines are not text in others",
    r"(apache|nginx)_extra_\w+": "files of the control machine that are configuration, as the operator writes it",
    r"app_(before|after)_\w+": "task files of the control machine",
    r"edge_replaces|certificates_edge": "variables that a playbook fills with parts of an edge's own",
}


def harmless(name: str, number: int) -> str:
    """Return a text without anything special for a variable, or an option of one (app_timers.name)."""
    return HARMLESS.get(name) or f"harmless{number}"


def text(name: str) -> st.SearchStrategy[str]:
    """Return texts for a variable: pieces that end a quote or a line, alone and in the middle of a good value."""
    good = harmless(name, 0)
    pieces = st.lists(st.sampled_from([*NASTY, "word", good]), min_size=1, max_size=4).map("".join)
    place = st.integers(0, len(good))
    within = st.builds(lambda at, piece: good[:at] + piece + good[at:], place, st.sampled_from(NASTY))
    form = forms.FORMS.get(name)
    formed = [st.from_regex(form.pattern, fullmatch=True)] if form and "(?!" not in form.pattern else []
    return st.one_of(pieces, within, st.just(good), *formed)


def _key(name: str) -> st.SearchStrategy[str]:
    if name in KEYS:
        return st.sampled_from(KEYS[name])
    form = forms.NAMES.get(name)
    good = (
        st.from_regex(form.pattern, fullmatch=True)
        if form
        else st.sampled_from(["harmless", "HARMLESS", "X-Harmless", "har.m_less"])
    )
    return st.one_of(good, good, good, st.sampled_from(NASTY))


def value(name: str, spec: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return values of a variable's type, each of which may be right or wrong."""
    if choices := spec.get("choices"):
        return st.one_of(st.sampled_from(choices), st.sampled_from(NASTY))
    match spec["type"]:
        case "bool":
            return st.one_of(st.booleans(), st.sampled_from(NASTY))
        case "int":
            return st.one_of(st.integers(1, 9), st.sampled_from(NASTY))
        case "list":
            entry = {"type": spec.get("elements", "str"), "options": spec.get("options")}
            few = any(one in HARMLESS for one in (name, *(f"{name}.{option}" for option in spec.get("options") or {})))
            return st.lists(value(name, entry), min_size=1, max_size=1 if few else 3, unique_by=repr)
        case "dict" if options := spec.get("options"):
            needed = {key: value(f"{name}.{key}", option) for key, option in options.items() if option.get("required")}
            other = {
                key: value(f"{name}.{key}", option) for key, option in options.items() if not option.get("required")
            }
            return st.fixed_dictionaries(needed, optional=other)
        case "dict":
            one = text(name)
            return st.dictionaries(
                _key(name),
                st.one_of(one, one, one, st.booleans(), st.integers(0, 9), st.lists(one, max_size=2)),
                min_size=1,
                max_size=2,
            )
    return text(name)


class Plain:
    """A value with each of its texts replaced by a harmless one.

    value: the same shape. instead: what each harmless text was.
    """

    def __init__(self, name: str, drawn: Any, spec: dict[str, Any]) -> None:
        self.instead: dict[str, str] = {}
        self.value = self._of(name, drawn, spec)

    def _of(self, name: str, drawn: Any, spec: dict[str, Any]) -> Any:
        if isinstance(drawn, list):
            return [self._of(name, entry, {**spec, "type": spec.get("elements", "str")}) for entry in drawn]
        if isinstance(drawn, dict):
            options = spec.get("options") or {}
            return {
                key: self._of(f"{name}.{key}" if options else name, entry, options.get(key, {}))
                for key, entry in drawn.items()
            }
        if not isinstance(drawn, str) or not drawn or spec.get("choices") or spec.get("type") in {"bool", "int"}:
            return drawn
        plain = harmless(name, len(self.instead))
        self.instead[plain] = drawn
        return plain


ROLES = sorted(path.parent.name for path in rendered.ROLES.glob("*/templates") if path.parent.name != "edge")


def variables(role: str) -> list[str]:
    """Return the variables that are drawn: all, but for files of the control machine."""
    return [name for name in rendered.specs(role) if not any(re.fullmatch(one, name) for one in NOT_DRAWN)]


def draws(role: str) -> st.SearchStrategy[tuple[str, Any]]:
    """Return variables of a role with values; those that have text more often than numbers."""
    specs = rendered.specs(role)
    names = variables(role)
    texts = [name for name in names if specs[name]["type"] not in {"bool", "int"}]
    name = st.one_of(*[st.sampled_from(texts)] * 3, st.sampled_from(names))
    return name.flatmap(lambda name: value(name, specs[name]).map(lambda found: (name, found)))


@functools.cache
def _plain_files(role: str, variable: str) -> dict[str, str]:
    return rendered.files(role, json.loads(variable))


@dataclass(frozen=True)
class Made:
    """What a role makes of a value: its files, those of a harmless value of the same shape, and what is wrong with them.

    instead: the text in the place of each harmless one.
    """

    files: dict[str, str]
    plain: dict[str, str]
    instead: dict[str, str]
    wrong: str


def made(role: str, name: str, found: Any) -> Made | None:
    """Return what a role makes of a value of a variable; None where it is refused."""
    spec = rendered.specs(role)[name]
    if rendered.complaints(role, {name: found}):
        return None
    harmless_one = Plain(name, found, spec)
    plain = _plain_files(role, json.dumps({name: harmless_one.value}))
    files = rendered.files(role, {name: found})
    # A port is part of the name of a file.
    pairs = list(zip(plain.values(), files.items(), strict=True))
    wrong = [
        f"{file}: {difference}"
        for before, (file, after) in pairs
        if before != after
        and (
            difference := _difference(
                readers.read(role, file, before), readers.read(role, file, after), harmless_one.instead
            )
        )
    ]
    return Made(files, plain, harmless_one.instead, "; ".join(wrong))


def _difference(plain: readers.Words, found: readers.Words, instead: dict[str, str]) -> str:
    """Return what is otherwise in found than that texts take the place of harmless ones; empty where nothing is.

    White space around a value does not count, nor what a regular expression needs for a text to be only that.
    """
    if len(plain) != len(found):
        return f"{len(plain)} words became {len(found)}"
    for one, other in zip(plain, found, strict=True):
        before, after = (word if isinstance(word, tuple) else (word.strip(),) for word in (one, other))
        fine = [before, *(_replaced(before, instead, written) for written in (str, re.escape, _with_any_slash))]
        if type(one) is not type(other) or after not in fine:
            return f"{after} in the place of {fine[1]}"
    return ""


def _with_any_slash(text: str) -> str:
    """Return the regular expression of a path in which a slash may be written as %2F (Apache's, of edge_static_url)."""
    return re.escape(text).replace("/", "(?:/|%2[Ff])+")


def _replaced(words: tuple[str, ...], instead: dict[str, str], written: Callable[[str], str]) -> tuple[str, ...]:
    """Return words with each harmless text in them replaced, in the way in which both are written there."""
    texts = {written(plain): written(text) for plain, text in instead.items()}
    pattern = re.compile("|".join(map(re.escape, sorted(texts, key=len, reverse=True))) or r"(?!)")
    return tuple(pattern.sub(lambda match: texts[match[0]], word).strip() for word in words)
