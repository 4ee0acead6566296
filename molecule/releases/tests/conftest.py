"""What the tests of releases share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from testinfra.host import Host

from applications import GOOD, Deploys, active

# The release id of the good application, after its first deploy. The same files give the same id.
GOOD_RELEASE: dict[str, str] = {}


@pytest.fixture
def deploys(host: Host, tmp_path: Path) -> Iterator[Deploys]:
    """Return deploys of a good application; afterwards exactly one instance runs, whatever the test did."""
    result = Deploys(host, tmp_path)
    result.write(GOOD.replace("VERSION", "1"))
    good = GOOD_RELEASE.get("id")
    if not good or good != active(host, "changing"):  # most tests leave it as it was
        kept = good and host.file(f"/srv/changing/releases/{good}/.venv").exists
        code, output = result.roll_back(app_release=good) if kept else result.run()
        assert code == 0, output
        GOOD_RELEASE["id"] = active(host, "changing")
    yield result
    assert len(host.check_output("systemctl list-units --plain --no-legend 'changing@*'").splitlines()) == 1
    assert not host.file("/srv/changing/deploy.lock").exists
