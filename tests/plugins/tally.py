"""A pytest plugin: appends one run's passed and failed tests to the file named by SLIPWAY_TALLY.

Loaded by tests/suite.py with PYTEST_PLUGINS, also into the runs that Molecule starts.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

outcomes: dict[str, bool] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A test passed if its set-up, itself and its clean-up did; a skipped one counts as neither."""
    if report.failed:
        outcomes[report.nodeid] = False
    elif report.passed and report.when == "call":
        outcomes.setdefault(report.nodeid, True)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.failed:
        outcomes[report.nodeid] = False


def pytest_sessionfinish() -> None:
    path = os.environ.get("SLIPWAY_TALLY")
    if path:
        passed = sum(outcomes.values())
        with Path(path).open("a") as tally:
            tally.write(f"{passed} {len(outcomes) - passed}\n")
