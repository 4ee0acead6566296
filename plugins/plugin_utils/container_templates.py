"""Variables and files of the well-known container templates for Flask, and what takes their place here.

Source: docs/coming-from-a-container-template.md, which has their defaults too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

PAGE = "docs/coming-from-a-container-template.md"

HERE = {
    "LISTEN_PORT": "nginx_listen",
    "STATIC_URL": "app_static_url",
    "STATIC_PATH": "app_static_dir",
    "STATIC_INDEX": "edge_static_index",
    "NGINX_MAX_UPLOAD": "nginx_client_max_body_size",
    "NGINX_WORKER_PROCESSES": "nginx_worker_processes",
    "NGINX_WORKER_CONNECTIONS": "nginx_worker_connections",
    "NGINX_WORKER_OPEN_FILES": "nginx_worker_rlimit_nofile",
    "UWSGI_PROCESSES": "uwsgi_processes",
    "UWSGI_CHEAPER": "uwsgi_cheaper",
    "UWSGI_INI": "uwsgi.ini in the application's folder",
    "MODULE_NAME": "app_module",
    "VARIABLE_NAME": "app_module",
    "APP_MODULE": "app_module",
    "WEB_CONCURRENCY": "gunicorn_workers",
    "WORKERS_PER_CORE": "gunicorn_workers",
    "MAX_WORKERS": "gunicorn_workers",
    "GUNICORN_CONF": "gunicorn_settings",
    "PRE_START_PATH": "prestart.sh in the application's folder",
}
NO_PORT = "a unix socket for the app server, and nginx_listen for the site's own ports"
# Names that a user, or an application, may well have for something else.
COMMON = {
    "HOST": NO_PORT,
    "PORT": NO_PORT,
    "BIND": NO_PORT,
    "TIMEOUT": "gunicorn_timeout_seconds",
    "GRACEFUL_TIMEOUT": "gunicorn_graceful_timeout_seconds",
    "KEEP_ALIVE": "gunicorn_keepalive_seconds",
    "THREADS": "gunicorn_threads",
    "WORKER_CLASS": "gunicorn_worker_class",
    "ACCESS_LOG": "gunicorn_settings",
    "GUNICORN_CMD_ARGS": "gunicorn_settings",
    "LOG_LEVEL": "gunicorn_log_level",
}


def advice(name: str, known: Mapping[str, str] = HERE) -> str:
    """Return what to say of a variable; empty where it is not among those of the templates."""
    here = known.get(name)
    return f"container templates have it, and here it has no effect. Slipway has {here} ({PAGE})." if here else ""


def advice_on_settings(names: Iterable[str]) -> list[str]:
    """Return what to say of the names in app_env, which the application may read itself."""
    return [f"app_env.{name}: {said}" for name in names if (said := advice(name))]


def advice_on_files(names: Iterable[str]) -> list[str]:
    """Return what to say of the files of a source that a container template would have read, and nothing here does."""
    said = []
    for path in map(PurePosixPath, sorted(names)):
        if path.name == "uwsgi.ini" and path.parent.name:
            said.append(
                f"app_source: {path} is not read, as it is not in the application's folder. Move it there, or name its folder in "
                "app_source_path."
            )
        elif path.name == "nginx.conf":
            said.append(
                f"app_source: {path} is not read. What takes its place is nginx_extra_server, nginx_extra_http and templates/nginx/ ({PAGE})."
            )
    return said
