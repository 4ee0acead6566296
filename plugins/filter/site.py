"""What the playbooks know about a whole site: which host does what, and what the roles returned on each.

A role returns what its contract says under a public name (docs/contracts/): `edge_logs`, `process_manager_logs`,
`database_logs`, `application_status`, `certificates_state`, `database_status`, `application_removed`, `edge_absent`,
`database_dumps`, and `valkey_logs`, `valkey_status`, `valkey_removed` and those of `mail_relay`. Each is the result of a
task as Ansible registers it, and is missing where the task did not run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Facts = Mapping[str, Any]
# Then the relay has been asked again a dozen times.
LATE_MAIL_SECONDS = 3600
UNREACHABLE = "it cannot be reached or read."


def addresses(hosts: Iterable[str], hostvars: Mapping[str, Facts]) -> dict[str, str]:
    """Return where the others of a site reach each host: on its private network where it has one."""
    found = {}
    for host in hosts:
        facts = hostvars[host]
        found[host] = facts.get("private_address", facts.get("ansible_host", host))
    return found


def local_address(listen: object) -> str:
    """Return where a server itself reaches what listens so: a port alone, and [::], is every address."""
    address = str(listen)
    return f"127.0.0.1:{address}" if address.isdigit() else address.replace("[::]", "[::1]")


def site_logs(hosts: Iterable[str], hostvars: Mapping[str, Facts], reached: Iterable[str]) -> list[dict[str, Any]]:
    """Return the logs of each host, as log_text shows them. reached: the hosts that could be asked."""
    logs = []
    for host in hosts:
        if host not in reached:
            logs.append({"title": host, "lines": [UNREACHABLE[0].upper() + UNREACHABLE[1:]]})
        facts = hostvars[host]
        edge = [(f"edge, {one['item']}", one) for one in facts.get("edge_logs", {}).get("results", [])]
        for what, said in [
            ("application", facts.get("process_manager_logs", {})),
            *edge,
            ("database", facts.get("database_logs", {})),
            ("Valkey", facts.get("valkey_logs", {})),
            ("mail relay", facts.get("mail_relay_logs", {})),
        ]:
            if "stdout_lines" in said:
                logs.append({"title": f"{host}, {what}", "lines": [*said["stdout_lines"], *said["stderr_lines"]]})
    return logs


def database_of(said: Facts, name: str) -> dict[str, Any] | None:
    """Return what is known of a database by what psql said of all; None where it was not asked."""
    if "rc" not in said:
        return None
    known = json.loads(said["stdout"] or "{}").get(name, {}) if said["rc"] == 0 else {}
    problem = "" if said["rc"] == 0 else next(iter(said.get("stderr_lines", [])), "it cannot be asked")
    return {
        "name": name,
        "bytes": known.get("bytes"),
        "connections": known.get("connections", 0),
        "problem": problem,
    }


def valkey_of(said: Facts) -> dict[str, Any] | None:
    """Return how Valkey is by what its client said (INFO memory): bytes of data; None where it was not asked."""
    if "rc" not in said:
        return None
    lines = said.get("stdout_lines", [])
    known = dict(line.strip().split(":", 1) for line in lines if ":" in line)
    if not known.get("used_memory", "").isdigit():
        reason = next(iter([*said.get("stderr_lines", []), *lines]), "it does not answer")
        return {"bytes": 0, "most": 0, "problem": reason}
    return {"bytes": int(known["used_memory"]), "most": int(known["maxmemory"]), "problem": ""}


def mail_relay_of(said: Facts) -> dict[str, Any] | None:
    """Return how a mail relay is: how many mails wait, and why the one that waits longest does; None where it was not asked.

    said: the state of its unit, the server's time, and a line of JSON for each mail, 1000 at most; the last may be cut off.
    """
    if "rc" not in said:
        return None
    if len(said.get("stdout_lines", [])) < 2:
        return {"waiting": 0, "reason": "", "problem": next(iter(said.get("stderr_lines", [])), "it cannot be asked")}
    state, now, *lines = said["stdout_lines"]
    mails = [json.loads(line) for line in lines if line.endswith("]}")]
    new = {"arrival_time": int(now), "recipients": []}
    oldest: Facts = min([*mails, new], key=lambda mail: mail["arrival_time"])
    reason = next((to["delay_reason"] for to in oldest["recipients"] if "delay_reason" in to), "it is new")
    problem = ""
    if state != "active":
        problem = f"Postfix does not run ({state})"
    elif int(now) - oldest["arrival_time"] > LATE_MAIL_SECONDS:
        problem = f"{len(mails)} waiting, one for more than an hour ({reason})"
    return {"waiting": len(mails), "reason": reason if mails else "", "problem": problem}


def certificate_of(said: Facts) -> str:
    """Return what is wrong with a certificate's renewal by what its program said; empty where all is well, or it has none."""
    if said.get("rc"):
        return next(iter(said["stderr_lines"]), "its state cannot be read")
    # A site without HTTPS has no program: Ansible says on stdout that it was skipped.
    text = said.get("stdout", "")
    return str(json.loads(text)["problem"]) if text.startswith("{") else ""


def edge_of(said: Facts) -> dict[str, Any] | None:
    """Return how the edge answers for the site; None where it was not asked."""
    if "status" not in said and "msg" not in said:
        return None
    return {"status": said.get("status"), "problem": said.get("msg", "")}


def redirect_of(said: Facts) -> dict[str, str] | None:
    """Return where a site that only redirects leads to, by the answer of its edge; None where it was not asked."""
    if not edge_of(said):
        return None
    problem = said.get("msg") or f"it answers {said.get('status')}, which is not a redirect. Run site.yml."
    to = said.get("location", "")
    return {"to": to, "problem": "" if to else problem}


def site_status(
    hosts: Iterable[str], hostvars: Mapping[str, Facts], reached: Iterable[str], name: str, *, redirects: bool = False
) -> dict[str, Any]:
    """Return how an application is on all of its hosts, as status_table shows it.

    reached: the hosts that could be asked. redirects: whether the site does nothing else.
    """
    return {
        "application": name,
        "hosts": {
            host: {
                "application": hostvars[host].get("application_status", {}).get("status"),
                "database": database_of(hostvars[host].get("database_status", {}), name),
                "valkey": valkey_of(hostvars[host].get("valkey_status", {})),
                "mail_relay": mail_relay_of(hostvars[host].get("mail_relay_status", {})),
                "certificate": certificate_of(hostvars[host].get("certificates_state", {})),
                "edge": edge_of(hostvars[host].get("edge_answer", {})),
                "redirect": redirect_of(hostvars[host].get("edge_answer", {})) if redirects else None,
                "problem": "" if host in reached else UNREACHABLE,
            }
            for host in hosts
        },
    }


def site_removal(
    hosts: Iterable[str],
    hostvars: Mapping[str, Facts],
    name: str,
    *,
    app_hosts: Iterable[str],
    db_host: str,
    database: bool,
    dry_run: bool,
) -> list[str]:
    """Return what a removal did, a sentence for each thing.

    db_host: empty where the site has no database. database: whether it was to be removed too.
    """
    said = []
    for host in hosts:
        facts = hostvars[host]
        # A site that only redirects has an edge, and no application.
        removed = facts.get("application_removed" if host in app_hosts else "edge_absent", {})
        if host in app_hosts or host != db_host:
            done = f"{name} {'would be' if dry_run else 'was'} removed."
            said.append(
                f"{host}: {done}" if removed.get("changed") else f"{host}: {name} was not found, nothing was removed."
            )
        if removed.get("kept"):
            said.append(f"{host}: {', '.join(removed['kept'])} are kept in {removed['folder']}/")
        for result, what in (
            ("valkey_removed", "the data of its Valkey is"),
            ("mail_relay_removed", "mail that was not sent yet is"),
        ):
            ran = facts.get(result, {})
            # One that had nothing to remove has a line of Ansible's own about that.
            said += [
                f"{host}: {what} kept in {folder}/" for folder in ran.get("stdout_lines", []) if ran.get("changed")
            ]
        if host == db_host:
            dumps = facts.get("database_dumps", {}).get("stdout_lines", [])
            said += [f"{host}: a dump of the database that was removed is kept as {dump}" for dump in dumps]
            if not database:
                said.append(
                    f"{host}: the database, if there is one, was kept; -e remove_database=true removes it, after a dump."
                )
    return said


class FilterModule:
    """What Ansible finds here."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "addresses": addresses,
            "local_address": local_address,
            "site_logs": site_logs,
            "site_removal": site_removal,
            "site_status": site_status,
        }
