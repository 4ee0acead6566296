"""How the values of variables have to look, where no argument spec can say it: the tables of values.py."""

from __future__ import annotations

from typing import NamedTuple


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
_USER = Form(r"[a-z_][a-z0-9_-]*", "the name of a user or group")
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
    "process_manager_user": _USER,
    "process_manager_writable_dirs": _PLACE,
    "supervisor_log_max_bytes": Form(r"[0-9]+(?i:[KMG]B)?", "a size, such as 10MB"),
    "supervisor_program": Form(
        r"(?!.*\s[;#]).*", "a value that Supervisor reads whole: after a space, ; and # begin a comment"
    ),
    "supervisor_tmp_size": _SHARE,
    "systemd_service": Form(r"(.*[^\\])?", "a value that ends without a backslash, which would join the next line"),
    "systemd_shm_size": _SHARE,
    "uwsgi_version": _VERSION,
    "valkey_group": _USER,
}
# Of the names in a dictionary.
NAMES = {
    "app_build_service": _DIRECTIVE,
    "app_prestart_service": _DIRECTIVE,
    "gunicorn_settings": Form(r"[a-z_][a-z0-9_]*", "the name of a setting of gunicorn, such as max_requests"),
    "supervisor_program": Form(r"[a-z][a-z_]*", "the name of a setting of a [program:x] section, such as environment"),
    "systemd_service": _DIRECTIVE,
    "uwsgi_settings": Form(r"[A-Za-z][A-Za-z0-9-]*", "the name of an option as uWSGI writes it, such as log-slow"),
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
# What is wrong in them is said without the value. (edge_paths.users is an option of each entry of edge_paths.)
SECRET = {
    *("app_build_deploy_key", "app_build_env", "app_env", "app_wired_env", "certificates_provided_key"),
    *("edge_paths.users", "mail_relay_password"),
}
