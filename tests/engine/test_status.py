"""What is said of an application: releases, programs, deploys, certificates, the lock."""

from __future__ import annotations

import calendar
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.flask.plugins.module_utils.engine import files, status
from ansible_collections.slipway.flask.plugins.module_utils.engine.lock import Deploy

from engine.host import NEW, OLD, OTHER, Host

SAYS = '[ "$1" != status ] || cat "$0.says"'


def test_each_release_has_a_state_and_the_latest_comes_first(host: Host) -> None:
    host.release("0000000000a1", activated=40, built=1, source="v1")
    host.release("0000000000a2", activated=30, built=2)
    host.release("0000000000a3", activated=20, built=3)
    host.release("0000000000a4", built=10)
    host.release("0000000000a5", state="failed", failed=5, reason="app_source: no")
    (host.home / "releases/0000000000a6").mkdir()
    (host.home / "releases/0000000000a7").mkdir()
    files.link("releases/0000000000a1", host.home / "current")
    files.link("releases/0000000000a2", host.home / "previous")
    found = status.releases(host.home, {"id": "0000000000a7"})
    assert [(one["id"][-1], one["state"]) for one in found[2:]] == [
        ("1", "active"),
        ("2", "previous"),
        ("3", "good"),
        ("4", "built"),
        ("5", "failed"),
    ]
    assert {one["id"][-1]: one["state"] for one in found[:2]} == {"6": "unfinished", "7": "building"}
    assert found[2]["source"] == "v1"
    assert found[-1]["reason"] == "app_source: no"


def test_a_previous_release_that_failed_since_is_not_offered_as_one(host: Host) -> None:
    host.release(OLD, state="failed", activated=1)
    files.link(f"releases/{OLD}", host.home / "previous")
    assert [one["state"] for one in status.releases(host.home, {})] == ["failed"]


@pytest.mark.parametrize(
    ("unit", "name"),
    [
        (f"site@{OLD}.service", ("web", "service")),
        (f"site-mail-1@{OLD}.service", ("mail-1", "service")),
        (f"site-sweep@{OLD}.timer", ("sweep", "timer")),
        (f"site-{OLD}-web", ("web", "")),
        (f"site-{OLD}-mail-1", ("mail-1", "")),
    ],
)
def test_a_unit_is_called_what_the_user_called_the_program(unit: str, name: tuple[str, str]) -> None:
    assert status.program("site", OLD, unit) == name


def test_programs_are_told_by_their_kind_and_a_line_that_is_none_is_left_out(host: Host) -> None:
    release = host.release(OLD, instance=SAYS)
    lines = [
        f"site@{OLD}.service\trunning\t5\t1\t4096",
        f"site-mail-1@{OLD}.service\tfailing\t0\t3\t0",
        f"site-sweep@{OLD}.timer\twaiting\t5\t0\t0",
        f"site-sweep@{OLD}.service\tstopped\t0\t0\t0",
        "Failed to connect to bus",
    ]
    (release.path / "bin/instance.says").write_text("\n".join(lines))
    found = status.programs(host.home, "site", [OLD, NEW])  # the other one was pruned in the meantime
    assert [(one["name"], one["kind"], one["state"]) for one in found] == [
        ("web", "web", "running"),
        ("mail-1", "worker", "failing"),
        ("sweep", "timer", "waiting"),
        ("sweep", "job", "stopped"),
    ]
    assert found[0] == {
        "release": OLD, "name": "web", "kind": "web", "state": "running", "seconds": 5, "restarts": 1, "memory": 4096,
    }  # fmt: skip


def test_the_last_deploys_are_shown_without_a_line_that_is_cut_off(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """At its end by a full disk, at its beginning by how much of the log is read."""
    assert status.deploys(host.home, 2) == []
    lines = [json.dumps({"time": number, "outcome": "activated"}) for number in range(100)]
    (host.home / "release.log").write_text("\n".join(lines) + '\n{"time": 100, "outc')
    assert [one["time"] for one in status.deploys(host.home, 2)] == [99, 98]
    monkeypatch.setattr(status, "BYTES_OF_A_LOG_LINE", 100)
    assert [one["time"] for one in status.deploys(host.home, 1)] == [99]


def certificate(path: Path) -> None:
    """Make a certificate."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{path}.key"]
    command = ["openssl", "req", "-x509", *key, "-subj", "/CN=site.test", "-days", "30", "-out", str(path)]
    subprocess.run(command, check=True, capture_output=True)


def test_the_certificates_of_the_site_are_those_that_its_edge_names(host: Host) -> None:
    good, bad = host.folder / "site.pem", host.folder / "bad.pem"
    certificate(good)
    bad.write_text("no certificate\n")
    site = host.folder / "site.conf"
    site.write_text(
        f"server {{\n  # ssl_certificate /nowhere.pem;\n  ssl_certificate {good};\n  ssl_certificate_key {good};\n}}\n"
        f'<VirtualHost *>\n  SSLCertificateFile "{good}"\n  SSLCertificateFile {bad}\n</VirtualHost>\n'
    )
    first, second = status.certificates(str(site))
    enddate = ["openssl", "x509", "-noout", "-enddate", "-in", str(good)]
    said = subprocess.run(enddate, check=True, capture_output=True, text=True).stdout.strip()
    until = calendar.timegm(time.strptime(said, "notAfter=%b %d %H:%M:%S %Y GMT"))
    assert first == {"path": str(good), "from": until - 30 * 86400, "until": until, "problem": ""}
    assert (second["path"], second["until"]) == (str(bad), None)
    assert "ertificate" in second["problem"]


def test_a_host_without_openssl_or_the_edge_s_file_says_so(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    assert status.certificates(None) == status.certificates("/nonexistent/site") == []
    (host.folder / "site.conf").write_text("ssl_certificate /etc/site.pem;\n")
    monkeypatch.setenv("PATH", str(host.folder))
    (found,) = status.certificates(str(host.folder / "site.conf"))
    assert found["until"] is None
    assert "openssl" in found["problem"]


def test_all_of_an_application_is_looked_at_and_nothing_changed(host: Host) -> None:
    (host.release(NEW, instance=SAYS, activated=2).path / "bin/instance.says").write_text(
        f"site@{NEW}.service\trunning\t1\t0\t0\n"
    )
    (host.release(OLD, instance=SAYS, activated=1, running=True).path / "bin/instance.says").write_text(
        f"site@{OLD}.service\trunning\t1\t0\t0\n"
    )
    host.release(OTHER, activated=1)
    files.link(f"releases/{NEW}", host.home / "current")
    files.link(f"releases/{OLD}", host.home / "previous")
    flag = host.folder / "maintenance"

    def look() -> dict[str, Any]:
        return status.look(host.home, "site", site=None, maintenance_flag=str(flag), count=5)

    seen = look()
    assert (seen["active"], seen["previous"], seen["lock"], seen["maintenance"]) == (NEW, OLD, None, None)
    assert {one["release"] for one in seen["programs"]} == {NEW, OLD}
    Deploy(host.home, "a").ask({"who": "ada", "host": "desk", "verb": "deploy", "source": "v1", "pid": 7})
    flag.touch()
    seen = look()
    assert (seen["lock"]["who"], seen["lock"]["step"]) == ("ada", None)
    assert "pid" not in seen["lock"]
    assert seen["maintenance"] == round(flag.stat().st_mtime)
    json.dumps(seen)


def test_a_host_without_the_application_can_be_looked_at_too(host: Host) -> None:
    """Its disk is the one that the application would be on."""
    seen = status.look(host.folder / "srv/none", "none", site=None, maintenance_flag=None, count=5)
    assert (seen["active"], seen["releases"], seen["programs"], seen["deploys"]) == ("", [], [], [])
    assert seen["disk"]["total"] > 0
    assert seen["memory"]["total"] >= seen["memory"]["available"] > 0
