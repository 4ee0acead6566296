"""What an application may do: it tries it itself, where `serve` of the scenario `systemd` answers for it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from socket_client import Answer

# Makes a file: path, and how it is opened (open(2)).
OPEN = "os.close(os.open({!r}, os.{} | os.O_CREAT, 0o600))"


class Attempts:
    """An instance that tries what a test asks it to."""

    def ask(self, url: str = "/") -> Answer:
        """Send a request."""
        raise NotImplementedError

    def attempt(self, expression: str) -> dict[str, Any]:
        """Let the application itself try something; return its value or its error."""
        tried: dict[str, Any] = self.ask(f"/try?{quote(expression)}").json
        return tried

    def can_write(self, folder: str) -> bool:
        """Whether the application can make a file in a folder; it is removed again."""
        path = f"{folder}/written"
        tried = self.attempt(OPEN.format(path, "O_WRONLY"))
        # FileNotFoundError is not among them: a folder that does not exist is a mistake in the test.
        if tried.get("error") in ("OSError", "PermissionError"):
            return False
        assert tried == {"value": None}, tried
        assert self.attempt(f"os.unlink({path!r})") == {"value": None}
        return True
