#!/usr/bin/env python3
"""Take the README's picture of the demo's page, in a real browser (Debian's chromium): screenshot.py ADDRESS."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

PICTURE = Path(__file__).resolve().parents[1] / "docs/guestbook.png"
ENTRIES = {
    "Ada": "Moored here for the night. The kettle was on, and the page was there before I sat down.",
    "Grace": "Deployed twice during dinner. The guests did not notice; neither did the dinner.",
    "Margaret": "The keeper says the light has not gone out since he stopped restarting it by hand.",
}
# Without the second line chromium looks for its maker's servers at every start.
CHROMIUM = [
    "chromium",
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--window-size=1100,1120",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def main(address: str) -> None:
    """Sign an empty book, then look at it."""
    entries = f"http://{address}/api/entries"
    with urllib.request.urlopen(entries, timeout=10) as answer:
        book = json.load(answer)
    if not book.get("entries"):
        for name, message in ENTRIES.items():
            body = json.dumps({"name": name, "message": message}).encode()
            urllib.request.urlopen(
                urllib.request.Request(entries, body, {"Content-Type": "application/json"}), timeout=10
            )
    with tempfile.TemporaryDirectory() as profile:
        command = [*CHROMIUM, f"--user-data-dir={profile}", f"--screenshot={PICTURE}", f"http://{address}/"]
        subprocess.run(command, check=True, capture_output=True)
    print(PICTURE)


if __name__ == "__main__":
    main(sys.argv[1])
