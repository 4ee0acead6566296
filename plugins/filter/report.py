"""What playbooks/status.yml and playbooks/logs.yml show, as text.

A status is {"application": str, "hosts": {host: {"application": dict | None, "database": dict | None, "valkey": dict | None,
"mail_relay": dict | None, "certificate": str, "edge": {"status": int | None, "problem": str} | None, "redirect": dict | None,
"problem": str}}}: "application" is what the module release_status returns, "valkey" {"bytes": int, "most": int, "problem": str},
"mail_relay" {"waiting": int, "reason": str, "problem": str}, "certificate" what is wrong with its renewal, "database" {"name": str,
"bytes": int | None, "connections": int, "problem": str}, "redirect" of a site that does nothing else {"to": str, "problem": str}. A log
is {"title": str, "lines": list[str]}.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Facts = Mapping[str, Any]

UNITS = ("B", "kB", "MB", "GB", "TB")
AGES = ((86400, "day"), (3600, "h"), (60, "min"), (1, "s"))
DAY_SECONDS = 86400
LONGEST_SOURCE = 40
# The share of its lifetime that a certificate has left when it should have been renewed.
LATE = 1 / 3


def size(count: float) -> str:
    """Return a size in bytes as a person reads it, in powers of 1024."""
    for unit in UNITS[:-1]:
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {UNITS[-1]}"


def age(seconds: float) -> str:
    """Return a length of time as a person reads it: 3 days, 5 h, 12 min."""
    seconds = max(0, int(seconds))
    for length, name in AGES:
        if seconds >= 2 * length or length == 1:
            return f"{seconds // length} {name}{'s' if name == 'day' else ''}"
    return ""


def moment(when: float | None) -> str:
    """Return a time in the reader's time zone, to the minute; a dash where there is none."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(when)) if when else "-"


def columns(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines of a table, each column as wide as it must be."""
    table = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[index]) for row in table) for index in range(len(head))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]


def short(text: str, longest: int) -> str:
    """Return the text, its middle left out where it is long: a URL's beginning and a commit's name both tell."""
    half = (longest - 1) // 2
    return text if len(text) <= longest else f"{text[:half]}…{text[-half:]}"


def releases(facts: Facts) -> list[str]:
    """Return the releases, and why those that failed did."""
    lines = columns(
        ("release", "state", "built", "activated", "source"),
        (
            (
                one["id"],
                one["state"],
                moment(one["built"]),
                moment(one["activated"]),
                short(one["source"] or "-", LONGEST_SOURCE),
            )
            for one in facts["releases"]
        ),
    )
    if facts["previous"]:
        lines.append(
            f"static files of {facts['previous']} are served too, until the next deploy or playbooks/withdraw.yml"
        )
    for one in facts["releases"]:
        if one["state"] == "failed" and one["reason"]:
            when = f" on {moment(one['failed'])}" if one["failed"] else ""
            lines.append(f"{one['id']} failed{when}: {one['reason']}")
    return lines


def programs(facts: Facts) -> list[str]:
    """Return what runs; the release is named where it is not the active one."""
    if facts.get("pages"):
        return ["a site without an application: the web server sends its files"]
    if not facts["programs"]:
        return []
    rows = []
    for one in facts["programs"]:
        # Between its runs a job is stopped, which is normal.
        state = "idle" if one["kind"] == "job" and one["state"] == "stopped" else one["state"]
        release = "" if one["release"] == facts["active"] else one["release"]
        ago = age(one["seconds"]) if state in ("running", "failing", "waiting") else "-"
        used = size(one["memory"]) if one["memory"] else "-"
        rows.append((one["name"], one["kind"], state, ago, one["restarts"], used, release))
    return columns(("program", "kind", "state", "for", "restarts", "memory", ""), rows)


def deploys(facts: Facts) -> list[str]:
    """Return the last deploys, and what stopped those that failed."""
    if not facts["deploys"]:
        return []
    rows, reasons = [], []
    said = {one["reason"] for one in facts["releases"] if one["state"] == "failed"}
    for one in facts["deploys"]:
        when, outcome = moment(one.get("time")), one.get("outcome", "-")
        outcome += f" ({one['step']})" if one.get("step", "done") != "done" else ""
        who = f"{one.get('who', '-')} from {one.get('host', '-')}"
        rows.append((when, one.get("verb", "-"), one.get("id", "-"), outcome, f"{one.get('seconds', 0)} s", who))
        if one.get("reason") and one["reason"] not in said:
            reasons.append(f"{when}: {one['reason']}")
    return columns(("last deploys", "what", "release", "outcome", "took", "who"), rows) + reasons


def host_facts(facts: Facts) -> list[tuple[str, str]]:
    """Return the facts that take one line each: name and text."""
    rows = []
    if lock := facts["lock"]:
        doing = f"{lock['verb'] or 'deploy'}, step: {lock['step'] or 'begin'}"
        rows.append(("lock", f"{lock['who']} from {lock['host']}, since {moment(lock['since'])} ({doing})"))
    else:
        rows.append(("lock", "not held"))
    if facts["maintenance"]:
        rows.append(("maintenance", f"on, since {moment(facts['maintenance'])}"))
    for one in facts["certificates"]:
        rows.append(("certificate", certificate(one, facts["time"])))
    disk, memory = facts["disk"], facts["memory"]
    part = 100 * disk["used"] // max(1, disk["used"] + disk["free"])
    rows.append(("disk", f"{size(disk['free'])} free of {size(disk['total'])}, {part} % used"))
    rows.append(("memory", f"{size(memory['available'])} available of {size(memory['total'])}"))
    rows.append(("server", f"up for {age(facts['up_seconds'])}, load {' '.join(map(str, facts['load']))}"))
    return rows


def certificate(facts: Facts, now: int) -> str:
    """Return until when a certificate is valid, in words."""
    if facts["until"] is None:
        return f"{facts['path']}: {facts['problem']}"
    left = facts["until"] - now
    if left < 0:
        return f"EXPIRED on {moment(facts['until'])} ({facts['path']})"
    soon = "only " if left <= (facts["until"] - facts["from"]) * LATE else ""
    return f"valid until {moment(facts['until'])}, {soon}{age(left)} ({facts['path']})"


def database(facts: Facts) -> str:
    """Return how the database is, in words."""
    if facts["problem"]:
        return f"{facts['name']}: {facts['problem']}"
    if facts["bytes"] is None:
        return f"the database {facts['name']} does not exist"
    return f"{facts['name']}: {size(facts['bytes'])}, {facts['connections']} connections"


def of_host(name: str, host: str, look: Facts) -> list[str]:
    """Return the report of one host."""
    facts, head = look["application"], f"{name} on {host}"
    if look["problem"]:
        return [f"{head}: {look['problem']}"]
    rows = host_facts(facts) if facts else []
    redirect = look.get("redirect")
    if redirect:
        # It has no releases that a lock would be for.
        leads = ("redirects to", redirect["to"]) if redirect["to"] else ("redirect", redirect["problem"])
        rows = [leads, *(row for row in rows if row[0] != "lock")]
    elif look.get("edge"):
        rows.append(("edge", look["edge"]["problem"] or f"answers {look['edge']['status']}"))
    if look["certificate"]:
        rows.append(("renewal", look["certificate"]))
    if look["database"] and (not facts or facts["releases"] or look["database"]["bytes"] is not None):
        rows.append(("database", database(look["database"])))
    if valkey := look.get("valkey"):
        rows.append(("Valkey", valkey["problem"] or f"{size(valkey['bytes'])} of {size(valkey['most'])} used"))
    if relay := look.get("mail_relay"):
        waiting = f"{relay['waiting']} waiting ({relay['reason']})" if relay["waiting"] else "nothing waits"
        rows.append(("mail", relay["problem"] or waiting))
    if facts and not facts["releases"] and not facts["lock"] and not redirect:
        nothing = f"{head}: nothing is deployed yet. Run ansible-playbook site.yml to deploy it."
        return [nothing, *(f"  {left}: {right}" for left, right in rows if left == "database")]
    parts = [releases(facts), programs(facts), deploys(facts)] if facts and not redirect else []
    width = max((len(left) for left, _ in rows), default=0)
    parts.append([f"{left.ljust(width)}  {right}" for left, right in rows])
    lines = [f"{head}, {time.strftime('%Y-%m-%d %H:%M:%S %Z', time.localtime(facts['time']))}" if facts else head]
    for part in filter(None, parts):
        lines += ["", *(f"  {line}" for line in part)]
    return lines


def status_table(status: Facts) -> str:
    """Return a status as a person reads it, a part for each host."""
    return "\n\n".join("\n".join(of_host(status["application"], host, look)) for host, look in status["hosts"].items())


def log_text(logs: Iterable[Facts]) -> str:
    """Return logs one after another, each below its title; empty logs are named, too."""
    parts = []
    for log in logs:
        lines = [line.rstrip() for line in log["lines"]] or ["(nothing)"]
        parts.append("\n".join([f"==> {log['title']} <==", *lines]))
    return "\n\n".join(parts)


class FilterModule:
    """What Ansible finds here."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"status_table": status_table, "log_text": log_text}
