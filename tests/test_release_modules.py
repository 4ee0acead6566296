"""What the release modules share, as far as it needs no server."""

from __future__ import annotations

import importlib.util
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from plugin import ROOT

UTILS = ROOT / "roles/app/module_utils"


@pytest.fixture(scope="module")
def utils() -> Iterator[dict[str, ModuleType]]:
    """Return the modules by name; they find each other where Ansible puts them."""
    loaded = {}
    for name in ("release", "traffic"):
        spec = importlib.util.spec_from_file_location(f"ansible.module_utils.{name}", UTILS / f"{name}.py")
        assert spec
        assert spec.loader
        loaded[name] = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded[name])
    yield loaded
    for name in loaded:
        del sys.modules[f"ansible.module_utils.{name}"]


def test_a_connection_counts_from_the_moment_it_waits_to_be_accepted(
    utils: dict[str, ModuleType], tmp_path: Path
) -> None:
    path = tmp_path / "app.sock"
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(path))
        server.listen()
        assert utils["traffic"].connections(path) == 0
        client.connect(str(path))
        assert utils["traffic"].connections(path) == 1
        accepted, _ = server.accept()
        assert utils["traffic"].connections(path) == 1
        client.close()
        accepted.close()
        assert utils["traffic"].connections(path) == 0
