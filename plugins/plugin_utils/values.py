"""What is wrong with the value of a variable, in words for the person who wrote it.

The types are the argument specs'. FORMS and NAMES add what no spec can say, so that text which a template writes into the
configuration of a program is one value there and nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ansible.module_utils.parsing.convert_bool import BOOLEANS

Option = Mapping[str, Any]


class Form(NamedTuple):
    """How a text has to look. meant: what it is then; it ends the sentence "... is not"."""

    pattern: str
    meant: str


_SIZE = Form(r"[0-9]+[kKmMgG]?", "a size: a number of bytes, or one with k, m or g, such as 16m")
_SHARE = Form(r"[0-9]+[kKmMgG%]?", "a size, such as 64m, or 10% of the memory")
_MEMORY = Form(r"[0-9]+(\.[0-9]+)?[KMGT%]?|infinity", "an amount of memory, such as 500M, 70% or infinity")
_TYPE = Form(r"[a-zA-Z0-9.+*-]+/[a-zA-Z0-9.+*_-]+|\*", "a type of content, such as text/css")
_PLACE = Form(r"(/[A-Za-z0-9_.@+-]+)+/?", "the full path of a folder, of letters, digits and _ . @ + -")
_FILE = Form(rf"({_PLACE.pattern})?", "a full path, of letters, digits and _ . @ + -")
_VERSION = Form(r"[0-9][A-Za-z0-9.!+-]*", "a version, such as 1.2.3")
_CALENDAR = Form(r"[A-Za-z0-9*:,./~ _+-]+", "a calendar expression of systemd, such as daily or Mon 03:00")
_PROGRAM = Form(r"[a-z][a-z0-9_]*", "the name of a program: lower-case letters, digits and underscores, a letter first")
_DIRECTIVE = Form(r"[A-Za-z][A-Za-z0-9]*", "the name of a directive of systemd, such as LimitNOFILE")

# Of a text, of each entry of a list, and of each value of a dictionary. What roles check themselves is not here.
FORMS = {
    "apache_deflate_types": _TYPE,
    "app_name": Form(r"[a-z][a-z0-9_-]{0,31}", "the name of an application"),
    "app_health_path": Form(
        r"/[^\s<>|;{}$\"'?#%]*(\?[^\s#]*)?", "a path of the site, such as /healthz (a slash first, no spaces)"
    ),
    "app_module": Form(r"\w+(\.\w+)*(:.+)?", "a module and the application in it, such as main:app"),
    "app_node_version": Form(rf"({_VERSION.pattern})?", _VERSION.meant),
    "app_timers.name": _PROGRAM,
    "app_timers.on_calendar": _CALENDAR,
    "app_uv_version": _VERSION,
    "app_workers.name": _PROGRAM,
    "certificates_acme_profile": Form(r"[A-Za-z0-9_-]*", "the name of a profile, such as shortlived"),
    "common_timezone": Form(r"[A-Za-z0-9_+/-]+", "a time zone, such as Europe/Berlin"),
    "edge_acme_webroot": _FILE,
    "edge_tls_certificate": _FILE,
    "edge_tls_key": _FILE,
    "edge_tls_names": Form(r"[A-Za-z0-9.*:-]+", "a host name or an address"),
    "edge_tls_nameless": _FILE,
    "edge_upstream_switch": _FILE,
    "edge_static_immutable_names": Form(r".*[^\\]", "a regular expression that ends without a backslash"),
    "granian_version": _VERSION,
    "gunicorn_version": _VERSION,
    "nginx_cache_max_size": _SIZE,
    "nginx_client_max_body_size": _SIZE,
    "nginx_gzip_types": _TYPE,
    "nginx_limit_zone_size": _SIZE,
    "nginx_proxy_buffer_size": _SIZE,
    "nginx_worker_processes": Form(r"auto|[1-9][0-9]*", "a number, or auto"),
    "postgresql_locale": Form(r"[A-Za-z0-9_.@-]+", "a locale, such as C.UTF-8"),
    "process_manager_home": _PLACE,
    "process_manager_name": Form(r"[a-z][a-z0-9_-]{0,31}", "the name of an application"),
    "process_manager_timers.name": _PROGRAM,
    "process_manager_timers.on_calendar": _CALENDAR,
    "process_manager_workers.name": _PROGRAM,
    "process_manager_memory_high": _MEMORY,
    "process_manager_memory_max": _MEMORY,
    "process_manager_run_dir": _PLACE,
    "process_manager_user": Form(r"[a-z_][a-z0-9_-]*", "the name of a user"),
    "process_manager_writable_dirs": _PLACE,
    "supervisor_log_max_bytes": Form(r"[0-9]+(?i:[KMG]B)?", "a size, such as 10MB"),
    "supervisor_program": Form(
        r"(?!.*\s[;#]).*", "a value that Supervisor reads whole: after a space, ; and # begin a comment"
    ),
    "supervisor_tmp_size": _SHARE,
    "systemd_service": Form(r"(.*[^\\])?", "a value that ends without a backslash, which would join the next line"),
    "systemd_shm_size": _SHARE,
    "uwsgi_version": _VERSION,
}
# Of the names in a dictionary.
NAMES = {
    "app_build_service": _DIRECTIVE,
    "app_prestart_service": _DIRECTIVE,
    "gunicorn_settings": Form(r"[a-z_][a-z0-9_]*", "the name of a setting of gunicorn, such as max_requests"),
    "supervisor_program": Form(r"[a-z][a-z_]*", "the name of a setting of a [program:x] section, such as environment"),
    "systemd_service": _DIRECTIVE,
}
# Text in these may have several lines: what becomes of it is quoted, or not read line by line.
SEVERAL_LINES = {
    *(
        "app_build",
        "app_build_deploy_key",
        "app_build_env",
        "app_env",
        "app_wired_env",
        "app_prestart",
        "app_workers",
        "app_timers",
        "process_manager_workers",
    ),
    *("process_manager_timers", "certificates_provided_certificate", "certificates_provided_key", "gunicorn_settings"),
}
# Of dictionaries without options of their own: null is a value in these ...
NULL = {
    "app_build_service",
    "app_prestart_service",
    "granian_settings",
    "gunicorn_settings",
    "systemd_service",
    "uwsgi_settings",
}
# ... a list is not in these, and anything is in those. In the others a list is several values of the same name.
ONE_EACH = {
    "app_build_env",
    "app_env",
    "app_wired_env",
    "edge_response_headers",
    "mod_wsgi_daemon_options",
    "supervisor_program",
}
ANYTHING = {"certificates_edge", "gunicorn_settings"}
# What is wrong in them is said without the value.
SECRET = {
    *("app_build_deploy_key", "app_build_env", "app_env", "app_wired_env", "certificates_provided_key"),
    "mail_relay_password",
}

_LINE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LINES = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_WANTED = {
    "str": "text",
    "path": "a path",
    "int": "a whole number",
    "bool": "true or false",
    "list": "a list",
    "dict": "a dictionary (lines of NAME: value)",
}
_LONGEST = 80  # characters of a value in a message


def kind(value: object) -> str:
    """Return what a value is to somebody who writes YAML."""
    if value is None:
        return "empty (null)"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "a list" if isinstance(value, list) else "a dictionary" if isinstance(value, dict) else "text or a number"


def fits(value: object, option: Option) -> bool:
    """Whether a value is of the type of an option, or one of its choices."""
    if choices := option.get("choices"):
        # To YAML, off without quotes is false.
        return str(value) in map(str, choices) or (value is False and "off" in choices)
    match option["type"]:
        case "list":
            return isinstance(value, list)
        case "dict":
            return isinstance(value, dict)
        case "bool":
            return isinstance(value, int | str) and str(value).strip().lower() in map(str, BOOLEANS)
        case "int":
            return isinstance(value, int) and not isinstance(value, bool)
    return value is not None and not isinstance(value, bool | list | dict)


def complaints(name: str, value: object, option: Option) -> list[str]:
    """Return a sentence for each thing that is wrong with a variable. option: its argument spec."""
    if value is None:
        return [f"{name}: it is empty (null). Give it a value, or take the line out."]
    return [f"{name}: {sentence}" for sentence in _wrong(name, "", value, option)]


def _shown(name: str, place: str, value: object) -> str:
    """Return how a sentence about a value begins."""
    is_text = not isinstance(value, bool | list | dict) and value is not None
    what = json.dumps(str(value)[:_LONGEST], ensure_ascii=False) if is_text and name not in SECRET else ""
    return f"{place}: {what}" if place and what else place or what or "it"


def _wrong(name: str, place: str, value: object, option: Option) -> Iterator[str]:
    """Yield what is wrong with a value, or with those in it. name: of the variable, and of an option of it (app_timers.name)."""
    variable = name.partition(".")[0]
    here = _shown(variable, place, value)
    if not fits(value, option):
        yield _misfit(variable, here, value, option)
    elif isinstance(value, list):
        inner = {"type": option.get("elements", "str"), "options": option.get("options")}
        for number, entry in enumerate(value, 1):
            yield from _wrong(name, f"{place + ', ' if place else ''}entry {number}", entry, inner)
    elif isinstance(value, dict) and option.get("options"):
        yield from _wrong_options(name, place, value, option["options"])
    elif isinstance(value, dict):
        yield from _wrong_entries(name, place, value)
    elif isinstance(value, str):
        if (_LINES if variable in SEVERAL_LINES else _LINE).search(value):
            yield f"{here} has a line break or another control character. Write it on one line."
        elif (form := FORMS.get(name)) and not re.fullmatch(form.pattern, value):
            yield f"{here} is not {form.meant}."


def _misfit(variable: str, here: str, value: object, option: Option) -> str:
    """Return the sentence for a value of another type than the option's."""
    if choices := option.get("choices"):
        return f"{here} is not one of {', '.join(map(str, choices))}."
    wanted = _WANTED[option["type"]]
    if value is None:
        return f"{here} is empty (null). Give it a value, or take the line out."
    if isinstance(value, bool | list | dict):
        quotes = " If you wrote no or off, put it into quotes." if isinstance(value, bool) and wanted == "text" else ""
        return f"{here} is {kind(value)}, and has to be {wanted}.{quotes}"
    if option["type"] == "int" and re.fullmatch("-?[0-9]+", str(value)):
        alone = here == json.dumps(str(value))  # not an entry: -e sets the whole variable
        as_json = f"""; with -e as JSON: -e '{{"{variable}": {value}}}'.""" if alone else "."
        return f"{here} is text. Write the number without quotes{as_json}"
    return f"{here} is not {wanted}." + (f" Write it as [{value}]." if wanted == "a list" else "")


def _wrong_options(name: str, place: str, value: Mapping[str, Any], options: Mapping[str, Option]) -> Iterator[str]:
    """Yield what is wrong with a dictionary whose names the spec lists."""
    before = f"{place}: " if place else ""
    for key, entry in value.items():
        if key not in options:
            yield f"{before}{json.dumps(str(key), ensure_ascii=False)} is not known. Use {', '.join(sorted(options))}."
        elif entry is not None or options[key].get("required"):
            yield from _wrong(f"{name}.{key}", f"{before}{key}", entry, options[key])
    for key, option in options.items():
        if option.get("required") and key not in value:
            yield f"{before}{key} is missing."


def _wrong_entries(name: str, place: str, value: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a dictionary of any names."""
    variable = name.partition(".")[0]
    for key, entry in value.items():
        where = f"{place}: {key}" if place else str(key)
        if _LINE.search(str(key)) or (variable in NAMES and not re.fullmatch(NAMES[variable].pattern, str(key))):
            meant = NAMES[variable].meant if variable in NAMES else "a name"
            yield f"{json.dumps(str(key), ensure_ascii=False)} is not {meant}."
        elif variable in ANYTHING or (entry is None and variable in NULL) or isinstance(entry, bool):
            continue
        elif isinstance(entry, list) and variable not in ONE_EACH:
            yield from _wrong(name, where, entry, {"type": "list"})
        else:
            yield from _wrong(name, where, entry, {"type": "str"})
