"""The collection's own code has the names that Ansible gives it: ansible_collections.slipway.flask."""

from __future__ import annotations

from pathlib import Path

from ansible.plugins.loader import init_plugin_loader

init_plugin_loader([str(Path(__file__).parents[1] / ".collections")])
