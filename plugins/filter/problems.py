"""What of a site is down, for the exit code of playbooks/status.yml. A status is described in report.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Facts = Mapping[str, Any]


def of_application(facts: Facts) -> list[str]:
    """Return what of an application is down on its host."""
    if not facts["active"]:
        return ["nothing is deployed"]
    ours = [one for one in facts["programs"] if one["release"] == facts["active"]]
    found = [f"{one['name']} is failing" for one in ours if one["state"] == "failing"]
    if not facts.get("pages") and not any(
        one["kind"] == "web" and one["state"] in ("running", "failing") for one in ours
    ):
        found.append("the application does not run")
    for one in facts["certificates"]:
        if one["until"] is None or one["until"] < facts["time"]:
            found.append(f"the certificate {one['path']} {'cannot be read' if one['until'] is None else 'has expired'}")
    return found


def of_host(look: Facts) -> list[str]:
    """Return what is down on a host."""
    if look["problem"]:
        return [look["problem"].rstrip(".")]
    # A site that only redirects has no application, and an edge that answers with something else.
    found = of_application(look["application"]) if look["application"] and not look["redirect"] else []
    if problem := (look["redirect"] or look["edge"] or {}).get("problem"):
        found.append(problem.rstrip("."))
    database = look["database"]
    if database and (database["problem"] or database["bytes"] is None):
        found.append(f"database {database['name']}: {database['problem'] or 'it does not exist'}")
    if (valkey := look.get("valkey")) and valkey["problem"]:
        found.append(f"Valkey: {valkey['problem']}")
    if (relay := look.get("mail_relay")) and relay["problem"]:
        found.append(f"mail relay: {relay['problem']}")
    return found


def status_problems(status: Facts) -> list[str]:
    """Return what is down, a sentence for each host that has something."""
    return [f"{host}: {'; '.join(found)}." for host, look in status["hosts"].items() if (found := of_host(look))]


class FilterModule:
    """What Ansible finds here."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"status_problems": status_problems}
