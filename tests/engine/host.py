"""What the tests of the engine share."""

from __future__ import annotations

from ansible_collections.slipway.flask.plugins.module_utils.engine.plan import Plan

PLAN = Plan(
    home="/srv/site",
    user="site",
    module="main:app",
    server="gunicorn",
    uv="/opt/uv",
    python="/usr/bin/python3.13",
    static_dir="static",
    static_url="/static/",
    static_kinds=["css"],
    static_forbidden_suffixes=["py"],
    sandbox={},
    build_service={},
    shared_dirs=[],
    prestart=[],
    migrate=True,
    source="v1",
)
