"""What the tests of every scenario share."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from testinfra.host import Host


@pytest.fixture(scope="module")
def host(_testinfra_host: Host) -> Host:
    """The server as root sees it, also where one logs in as a user who may sudo.

    Not by ansible_become in the inventory: that would hide a play that forgets to become root.
    """
    if _testinfra_host.check_output("id -u") != "0":
        _testinfra_host.backend.sudo = True
    return _testinfra_host


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show a failed test's reader the server's last log lines; LOG_UNITS in a test's module names the units."""
    report = yield
    host = getattr(item, "funcargs", {}).get("host")
    if report.failed and host is not None:
        unit = f"--unit='{item.module.LOG_UNITS}'" if hasattr(item.module, "LOG_UNITS") else ""
        log = host.run(f"journalctl {unit} --lines=40 --output=short-precise --no-pager").stdout
        report.sections.append((f"last log lines of {host.backend.host}", log))
    return report
