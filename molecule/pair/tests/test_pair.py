"""One application on two hosts: all of them are switched, or none is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from probe import ROOT, Site, play, said, until

SCENARIO = Path(__file__).parents[1]
ENVIRONMENT = SCENARIO / "environment"
FIRST = Site(ENVIRONMENT, "pair", "pair-trixie", "pair.test")
SECOND = Site(ENVIRONMENT, "pair", "pair-bookworm", "pair.test")
BOTH = [FIRST, SECOND]

testinfra_hosts = ["localhost"]


class Source:
    """A copy of the application that a test may change, and its deploys."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("Hello.")

    def write(self, text: str, first: str = "") -> None:
        """Make it say something else, after a statement of the test's."""
        lines = ["from flask import Flask", "app = Flask(__name__)", first, "@app.get('/')", "def index():"]
        (self.folder / "main.py").write_text("\n".join([*lines, f"    return {text!r}", ""]))

    def deploy(self, *arguments: str, **variables: object) -> tuple[int, str, str]:
        """Deploy; return the exit code, all that was said folded, and as it was."""
        variables = {"app_source": str(self.folder), **variables}
        result = play(ROOT / "playbooks/deploy.yml", *arguments, inventory=ENVIRONMENT, **variables)
        return result.returncode, said(result), result.stdout


def active(site: Site) -> str:
    """Return the release that has the traffic on a host."""
    return str(site.host.check_output("basename $(readlink /srv/pair/current)"))


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Source]:
    """Return a source; afterwards exactly one instance runs on each host and the lock is free."""
    yield Source(tmp_path)
    for site in BOTH:
        units = site.host.check_output("systemctl list-units --plain --no-legend 'pair@*'")
        assert [line.split()[0] for line in units.splitlines()] == [f"pair@{active(site)}.service"]
        assert not site.host.file("/srv/pair/deploy.lock").exists


@pytest.mark.after_reboot
def test_both_answer() -> None:
    until(lambda: all(site.ask("/").status == 200 for site in BOTH), "both answer")


def test_if_one_host_fails_the_gate_no_host_is_switched(source: Source) -> None:
    source.write("Not on both.", "import os; assert not os.path.exists('/srv/pair/shared/ill')")
    before = [active(site) for site in BOTH]
    SECOND.host.check_output("touch /srv/pair/shared/ill")
    code, output, _ = source.deploy()
    SECOND.host.check_output("rm /srv/pair/shared/ill")
    assert code != 0, output
    assert [active(site) for site in BOTH] == before
    assert FIRST.ask("/").body != b"Not on both."
    code, output, _ = source.deploy()
    assert code == 0, output
    assert {site.ask("/").body for site in BOTH} == {b"Not on both."}


def test_hosts_are_switched_one_after_the_other_and_none_after_one_that_failed(
    source: Source, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """All have passed the gate by then; what goes wrong at the first activation does not reach the second host."""
    hook = tmp_path_factory.mktemp("hooks") / "hook.yml"
    task = {"name": "No", "ansible.builtin.fail": {"msg": "this far"}, "when": "inventory_hostname == 'pair-trixie'"}
    hook.write_text(json.dumps([task]))
    source.write("In turn.")
    before = [active(site) for site in BOTH]
    code, output, _ = source.deploy(app_after_activation=[str(hook)])
    assert code != 0
    assert "this far" in output
    assert [site.ask("/").body == b"In turn." for site in BOTH] == [True, False]
    assert active(SECOND) == before[1]
    code, output, plain = source.deploy()
    assert code == 0, output
    assert {site.ask("/").body for site in BOTH} == {b"In turn."}
    switched = re.findall(
        r"TASK \[slipway.flask.app : Switch the traffic to the release\] \*+\n(?:skipping.*\n)*changed: \[(\S+)\]",
        plain,
    )
    assert switched == ["pair-bookworm"]  # the other has it already


def test_prestart_commands_run_on_one_host_alone_and_several_hosts_can_be_switched_at_a_time(source: Source) -> None:
    """What prestart.sh exports on the one reaches the application on both."""
    (source.folder / "prestart.sh").write_text("export MADE_ON=$(hostname)\n")
    check = "import os\n@app.before_request\ndef check():\n    assert os.environ['MADE_ON'] == 'pair-trixie'"
    source.write("Prestarted.", check)
    code, output, plain = source.deploy(app_prestart=["touch /srv/pair/shared/prestarted"], app_deploy_serial=2)
    assert code == 0, output
    assert plain.count("TASK [slipway.flask.app : Switch the traffic to the release]") == 1
    assert {site.ask("/").body for site in BOTH} == {b"Prestarted."}
    assert [site.host.file("/srv/pair/shared/prestarted").exists for site in BOTH] == [True, False]


def test_both_go_back_together(source: Source) -> None:
    (before,) = {site.ask("/").body for site in BOTH}
    source.write("Not for long.")
    assert source.deploy()[0] == 0
    assert {site.ask("/").body for site in BOTH} == {b"Not for long."}
    result = play(ROOT / "playbooks/rollback.yml", inventory=ENVIRONMENT)
    assert result.returncode == 0, said(result)
    assert {site.ask("/").body for site in BOTH} == {before}
