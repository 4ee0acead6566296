"""What the roles' templates make of variables, and what the roles' own checks say of them, without a server."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.slipway.flask.plugins.action.validate_variables import options_of, shared_by

from plugin import ROOT

LOADER = DataLoader()
ROLES = ROOT / "roles"
SHARED = shared_by(ROLES)
FACTS = {
    "distribution": "Debian",
    "distribution_major_version": "13",
    "distribution_version": "13",
    "memtotal_mb": 2048,
    "processor_vcpus": 2,
}
# What a role cannot do without.
NEEDED: dict[str, Any] = {
    "inventory_hostname": "server",
    "ansible_facts": FACTS,
    "app_name": "site",
    "app_source": "/srv/source",
    "app_server_release_dir": "/srv/site/next",
    "certificates_name": "site",
    "certificates_names": ["site.example.org"],
    "certificates_source": "acme",
    "certificates_edge": {},
    "connection_limit_name": "site",
    "connection_limit_ports": [80],
    "edge_site_name": "site",
    "edge_server_names": ["site.test", "*.site.test"],
    "edge_tls": "provided",
    "edge_tls_certificate": "/etc/ssl/site.pem",
    "edge_tls_key": "/etc/ssl/site.pem",
    "edge_tls_nameless": "/etc/ssl/site.pem",
    "edge_acme_webroot": "/var/lib/acme",
    "edge_upstream_socket": "/run/site/app.sock",
    "edge_static_roots": ["/srv/site/current/public"],
    "edge_static_url": "/static/",
    "edge_static_kinds": ["css", "js"],
    "mail_relay_name": "site",
    "mail_relay_address": "127.65.0.1",
    "mail_relay_host": "smtp.test",
    "mail_relay_sender": "noreply@site.test",
    "mail_relay_user": "site",
    "mail_relay_password": "word",
    "process_manager_name": "site",
    "process_manager_release_dir": "/srv/site/next",
    "valkey_name": "site",
    "valkey_group": "site",
}
# Templates that are parts of others, or a question in SQL.
PARTS = {
    "postgresql/templates/connection_shares.sql.j2",
    "postgresql/templates/pending.sql.j2",
    "systemd/templates/service.j2",
}
# The edge's pages.
PAGES = ("error", "maintenance")


def family(role: str) -> list[str]:
    """Return the roles whose variables a role's templates use."""
    return [SHARED[role], role] if role in SHARED else [role]


@functools.cache
def specs(role: str) -> dict[str, dict[str, Any]]:
    """Return the argument specs of a role, and of the one that all of its kind share, by variable."""
    return {name: spec for one in family(role) for name, spec in options_of(ROLES, one).items()}


def _read(path: Path) -> Any:
    return LOADER.load_from_file(str(path), trusted_as_template=True) if path.is_file() else {}


@functools.cache
def _known(role: str) -> dict[str, Any]:
    """Return a role's defaults and what it makes of them."""
    files = [ROLES / one / f"{kind}/main.yml" for kind in ("defaults", "vars") for one in family(role)]
    return (
        {name: value for file in files for name, value in _read(file).items()}
        | NEEDED
        | {"role_path": str(ROLES / role)}
    )


def default(role: str, name: str) -> str:
    """Return the text that a variable of a role has where nobody sets it."""
    return str(_known(role)[name])


def _templar(role: str, variables: dict[str, Any]) -> Templar:
    known = _known(role) | variables
    return Templar(loader=LOADER, variables={**known, "vars": known})


def complaints(role: str, variables: dict[str, Any] | None = None) -> list[str]:
    """Return what a role says of variables, as preflight asks it; by default of those that it has where nobody sets any."""
    asked = trust_as_template(f"{{{{ query('slipway.flask.complaints', '{role}') }}}}")
    found: list[str] = _templar(role, variables or {}).template(asked)
    return found


def files(role: str, variables: dict[str, Any]) -> dict[str, str]:
    """Return the text that each of a role's templates becomes, by name."""
    templar = _templar(role, variables)
    if SHARED.get(role) == "edge":
        known = templar.template(trust_as_template("{{ edge_files + edge_unknown_host_files }}"))
        pages = {
            f"{page}.html": templar.template(
                trust_as_template(f"{{{{ lookup('ansible.builtin.template', edge_{page}_page_template) }}}}")
            )
            for page in PAGES
        }
        return {file["path"]: file["content"] for file in known} | pages
    rendered = {}
    for path in sorted((ROLES / role / "templates").glob("*.j2")):
        if path.relative_to(ROLES).as_posix() not in PARTS:
            rendered[path.stem] = str(
                templar.template(trust_as_template(f"{{{{ lookup('ansible.builtin.template', '{path}') }}}}"))
            )
    return rendered
