"""A pytest plugin: each run writes its own JUnit file into the folder named by SLIPWAY_RESULTS.

Loaded by tools/suite with PYTEST_PLUGINS, also into the runs that Molecule starts: one check may start several.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Say where, before pytest's own plugin asks."""
    folder = os.environ.get("SLIPWAY_RESULTS")
    if folder and not config.option.collectonly:
        number = len(list(Path(folder).glob("*.xml"))) + 1
        config.option.xmlpath = str(Path(folder, f"pytest-{number}.xml"))
