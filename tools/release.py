#!/usr/bin/env python3
"""Print the text of a release, which CHANGELOG.md has, if tag, galaxy.yml and CHANGELOG.md agree.

`python tools/release.py v0.1.0`; CONTRIBUTING.md says when, and the workflow release.yml does the same.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]


class ReleaseError(Exception):
    """Why a tag cannot be released, and what to do."""


def text_of(tag: str, version: str, changelog: str) -> str:
    """Return a title and the entries of a version, such as `0.1.0`, for a tag, such as `v0.1.0`."""
    if tag != f"v{version}":
        raise ReleaseError(f"galaxy.yml: version is {version}, the tag is {tag}. Tag v{version}, or change version.")
    parts = [part.partition("\n") for part in re.split(r"^## ", changelog, flags=re.MULTILINE)[1:]]
    dated = rf"{re.escape(version)}, \d{{4}}-\d\d-\d\d"
    entries = [entries.strip() for heading, _, entries in parts if re.fullmatch(dated, heading)]
    if not entries:
        raise ReleaseError(f"CHANGELOG.md: {version} has no date. Write `## {version}, YYYY-MM-DD` above its entries.")
    if not entries[0]:
        raise ReleaseError(f"CHANGELOG.md: {version} has no entries. Say whom the release affects, and how.")
    return f"Slipway {version}\n\n{entries[0]}\n"


def main() -> int:
    """Print the text for the tag that the argument names."""
    if len(sys.argv) != 2:
        sys.exit("release: name the tag: python tools/release.py v0.1.0")
    version = yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"]
    try:
        print(text_of(sys.argv[1], version, (ROOT / "CHANGELOG.md").read_text()), end="")
    except ReleaseError as error:
        sys.exit(f"release: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
