"""What of the static files is published, and what is refused."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from ansible_collections.slipway.flask.plugins.module_utils.engine import publish

KINDS = ["css", "js", "map", "png", "txt", "json"]
FORBIDDEN = ["py", "sql", "env", "key"]


@pytest.mark.parametrize("name", ["style.css", "app.3f2a9c.js", "app.js.map", "Logo.PNG", "robots.txt", "a b.css"])
def test_assets_are_published(name: str) -> None:
    assert publish.Rule(KINDS, FORBIDDEN).against(name) == ""


NO_ASSETS = (
    "main.py main.pyc main.py.txt .env .htaccess x.sqlite3-wal cert.p12 backup.tar.gz dump.sql dump.sql.txt id_rsa #x.py# "
    "#x.css# x.css~ ~x.css .css x. server.key Makefile"
)


@pytest.mark.parametrize("name", [*NO_ASSETS.split(), "a\nb.css", "a\\b.css"])
def test_everything_else_is_refused(name: str) -> None:
    assert publish.Rule(KINDS, FORBIDDEN).against(name)


def test_a_name_without_a_suffix_can_be_a_kind() -> None:
    rule = publish.Rule([*KINDS, ""], FORBIDDEN)
    assert [name for name in ("LICENSE", "x.", "x.p12", ".env", "x.css") if not rule.against(name)] == [
        "LICENSE",
        "x.css",
    ]


def test_links_lead_to_assets_below_the_folder_or_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "code/static"
    (source / "css/.git").mkdir(parents=True)
    (tmp_path / "shared/uploads").mkdir(parents=True)
    (tmp_path / "code/main.txt").write_text("source")
    (source / "css/site.css").write_text("b {}\n" * 1000)
    (source / "css/.git/x.css").write_text("")
    (source / "data.env").write_text("secret")
    os.mkfifo(source / "pipe.css")
    for name, target in {
        "good.css": "css/site.css",
        "same.css": str(source / "css/site.css"),
        "up.txt": "../main.txt",
        "shadow.txt": "/etc/shadow",
        "env.txt": "data.env",
        "lost.css": "nowhere.css",
        "round.css": "round.css",
        "styles": "css",
        "uploads": str(tmp_path / "shared/uploads"),
        "all": "..",
    }.items():
        (source / name).symlink_to(target)
    (tmp_path / "public").mkdir()
    refused = publish.publish(source, tmp_path / "public", publish.Rule(KINDS, FORBIDDEN), tmp_path / "shared")
    there = sorted(str(path.relative_to(tmp_path / "public")) for path in (tmp_path / "public").rglob("*.*"))
    assert there == ["css/site.css", "css/site.css.gz", "good.css", "good.css.gz", "same.css", "same.css.gz"]
    assert not any(path.is_symlink() for path in (tmp_path / "public").rglob("*"))
    assert [line.partition(":")[0] for line in refused] == [
        "all", "css/.git", "data.env", "env.txt", "lost.css", "pipe.css", "round.css", "shadow.txt", "styles", "up.txt", "uploads",
    ]  # fmt: skip
    left = [path.name for path in source.iterdir() if path.is_symlink()]
    assert sorted(left) == ["good.css", "same.css", "styles", "uploads"]  # the application would follow the others


def test_a_twin_that_saves_nothing_is_not_kept(tmp_path: Path) -> None:
    """A font is compressed in itself; the edge would unpack it for nothing."""
    (tmp_path / "font.ttf").write_bytes(random.Random(1).randbytes(4096))
    publish.publish(tmp_path, tmp_path / "public", publish.Rule(["ttf"], []), tmp_path)
    assert [path.name for path in (tmp_path / "public").iterdir()] == ["font.ttf"]
