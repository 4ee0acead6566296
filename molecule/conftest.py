"""What the tests of every scenario share."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from testinfra.host import Host

from probe import ROOT, Site, administrator
from results import LINES_OF_A_LOG, tail
from servers.containers import LAST_LINES


@pytest.fixture(scope="module")
def host(_testinfra_host: Host) -> Host:
    """The server as root sees it, also where one logs in as a user who may sudo.

    Not by ansible_become in the inventory: that would hide a play that forgets to become root.
    """
    if _testinfra_host.check_output("id -u") != "0":
        _testinfra_host.backend.sudo = True
    return _testinfra_host


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Wait until no other scenario of this checkout counts lost requests, and have them wait until the end."""
    path = ROOT / ".cache/lost_requests.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="module", autouse=True)
def _alone_as_a_module(request: pytest.FixtureRequest) -> Iterator[None]:
    """Its visitors may be there from the first test to the last."""
    with alone() if request.node.get_closest_marker("lost_requests") else contextlib.nullcontext():
        yield


@pytest.fixture(autouse=True)
def _alone_as_a_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test of a module whose others count nothing."""
    module = request.node.getparent(pytest.Module)
    marked = request.node.get_closest_marker("lost_requests") and not module.get_closest_marker("lost_requests")
    with alone() if marked else contextlib.nullcontext():
        yield


def server_of(item: pytest.Item) -> str:
    """The server that a test asks; empty where it asks none."""
    callspec = getattr(item, "callspec", None)
    return str(callspec.params["_testinfra_host"].backend.host) if callspec else ""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what was asked already.

    After the reboot: all but the tests marked `after_reboot`. Of all servers but the first: what is the same on every
    Debian, those marked `one_debian`.
    """
    scenario = os.environ.get("MOLECULE_EPHEMERAL_DIRECTORY")
    if scenario and (Path(scenario) / "rebooted").exists():
        once = [item for item in items if not item.get_closest_marker("after_reboot")]
        items[:] = [item for item in items if item not in once]
        config.hook.pytest_deselected(items=once)
    asked = [item for item in items if item.get_closest_marker("one_debian") and server_of(item) != server_of(items[0])]
    items[:] = [item for item in items if item not in asked]
    config.hook.pytest_deselected(items=asked)


def asked_by(item: pytest.Item) -> list[Host]:
    """Return the servers that a test asks: its `host`, else that of its `site`, else those of its module's sites."""
    given = getattr(item, "funcargs", {})
    if "host" in given:
        return [given["host"]]
    module = getattr(item, "module", None)
    sites = [given["site"]] if "site" in given else vars(module).values() if module else []
    names = {site.server for site in sites if isinstance(site, Site)}
    return [administrator(name) for name in sorted(names) if (ROOT / f".servers/{name}.json").exists()]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show a failed test's reader the server's last log lines; LOG_UNITS in a test's module names the units."""
    report = yield
    for host in asked_by(item) if report.failed else []:
        units = getattr(getattr(item, "module", None), "LOG_UNITS", "*")
        try:
            log = host.run(LAST_LINES.format(units=units)).stdout
        except RuntimeError as error:  # the server is not there to ask
            log = str(error)
        # "Captured log" is what pytest puts into the JUnit file, without the rest of the heading. Each line names its server.
        report.sections.append((f"Captured log lines of {host.backend.host}", tail(log, LINES_OF_A_LOG)))
    return report
