"""Values of postgresql.conf."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def setting(value: object) -> str:
    """Return a value as postgresql.conf has it: in single quotes, where a backslash or a quote is written twice (19.1.2)."""
    if isinstance(value, bool):
        text = "on" if value else "off"
    else:
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


class FilterModule:
    """What Ansible finds here."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"postgresql_setting": setting}
