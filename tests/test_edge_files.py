"""Which files of a web server a site's change takes away."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.slipway.flask.plugins.module_utils.edge.files import EdgeFiles


class Files(EdgeFiles):
    """Of some web server."""

    program = "true"
    role = "nginx"


@pytest.mark.parametrize("absent", ["slipway/below-book/+sea@tides.conf", "slipway/below-*/*@tides.conf"])
def test_a_link_that_leads_nowhere_is_removed_as_a_file_is(tmp_path: Path, absent: str) -> None:
    """A name is looked up, and a pattern too; somebody may have moved the file away and left a link."""
    below = tmp_path / "slipway/below-book"
    below.mkdir(parents=True)
    (below / "@book.conf").touch()
    link = below / "+sea@tides.conf"
    link.symlink_to("/nowhere")
    params: dict[str, Any] = {
        "root": str(tmp_path),
        "reload_due": str(tmp_path / "due"),
        "files": [],
        "secrets": [],
        "secrets_prefix": "slipway/tides/users-",
        "unlinked": [],
        "absent": [absent],
    }
    files = Files(SimpleNamespace(params=params, get_bin_path=lambda *_, **__: "/bin/true"))
    assert files.removed == ["slipway/below-book/+sea@tides.conf"]
    folder = tmp_path / "outcome"
    folder.mkdir()
    files.outcome(folder)
    assert [path.name for path in (folder / "slipway/below-book").iterdir()] == ["@book.conf"]
