"""What of the static files is published, and what is refused."""

from __future__ import annotations

import gzip
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


def test_links_lead_to_assets_below_the_folder_or_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    monkeypatch.setenv("PATH", "")
    rule = publish.Rule(KINDS, FORBIDDEN)
    refused = publish.publish(source, tmp_path / "public", rule, tmp_path / "shared", tmp_path / "none")
    there = sorted(str(path.relative_to(tmp_path / "public")) for path in (tmp_path / "public").rglob("*.*"))
    assert there == ["css/site.css", "css/site.css.gz", "good.css", "good.css.gz", "same.css", "same.css.gz"]
    assert not any(path.is_symlink() for path in (tmp_path / "public").rglob("*"))
    assert [line.partition(":")[0] for line in refused] == [
        "all", "css/.git", "data.env", "env.txt", "lost.css", "pipe.css", "round.css", "shadow.txt", "styles", "up.txt", "uploads",
    ]  # fmt: skip
    left = [path.name for path in source.iterdir() if path.is_symlink()]
    assert sorted(left) == ["good.css", "same.css", "styles", "uploads"]  # the application would follow the others


@pytest.mark.parametrize("is_root", [True, False])
def test_what_clients_look_for_is_published_at_the_root_of_a_site(tmp_path: Path, *, is_root: bool) -> None:
    """The edge refuses it below the static URL of an application."""
    (tmp_path / "source/.well-known").mkdir(parents=True)
    (tmp_path / "source/.well-known/security.txt").write_text("Contact: mailto:a@site.test")
    (tmp_path / "source/.well-known/association").write_text("{}")
    rule = publish.Rule(KINDS, FORBIDDEN, is_root=is_root)
    refused = publish.publish(tmp_path / "source", tmp_path / "public", rule, tmp_path / "shared", tmp_path / "none")
    there = sorted(path.name for path in (tmp_path / "public").rglob("*") if path.is_file())
    assert there == (["association", "security.txt"] if is_root else [])
    assert refused == ([] if is_root else [".well-known: hidden"])


# Its twins are gzip's, and it says how it was called.
BROTLI = """#!/bin/bash
[ ! -e %(fail)s ] || { echo 'no space left' >&2; exit 1; }
echo "$@" >> %(log)s
shift 3
for path; do gzip --stdout -- "$path" > "$path.br"; done
"""


@pytest.fixture
def brotli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a program in the place of brotli(1); return the file where it logs its arguments."""
    log = tmp_path / "brotli.log"
    log.touch()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/brotli").write_text(BROTLI % {"log": log, "fail": tmp_path / "fail"})
    (tmp_path / "bin/brotli").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    return log


def published(tmp_path: Path, name: str, before: str = "none", **files: bytes) -> dict[str, bytes]:
    """Publish files as the release `name`; return what is there by its name."""
    source, target = tmp_path / "source" / name, tmp_path / name
    source.mkdir(parents=True)
    for stem, content in files.items():
        (source / f"{stem}.css").write_bytes(content)
    publish.publish(source, target, publish.Rule(["css"], []), tmp_path, tmp_path / before)
    return {path.name: path.read_bytes() for path in target.iterdir()}


def test_text_has_twins_with_its_time(tmp_path: Path, brotli: Path) -> None:
    assert sorted(published(tmp_path, "one", a=b"a" * 2000, short=b"a" * 100)) == [
        "a.css",
        "a.css.br",
        "a.css.gz",
        "short.css",
    ]
    assert brotli.read_text() == f"--quality=11 --force -- {tmp_path}/one/a.css\n"
    assert len({path.stat().st_mtime_ns for path in (tmp_path / "one").glob("a.css*")}) == 1


def test_what_takes_brotli_long_is_compressed_less(tmp_path: Path, brotli: Path) -> None:
    assert "large.css.br" in published(tmp_path, "one", large=b"a" * (2**20 + 1))
    assert brotli.read_text().startswith("--quality=9 ")


def test_the_twins_of_an_unchanged_file_serve_again(tmp_path: Path, brotli: Path) -> None:
    published(tmp_path, "one", same=b"a" * 2000, other=b"b" * 2000)
    for suffix in ("br", "gz"):
        (tmp_path / f"one/same.css.{suffix}").write_bytes(b"as before")
    brotli.write_text("")
    after = published(tmp_path, "two", "one", same=b"a" * 2000, other=b"c" * 2000)
    assert after["same.css.br"] == after["same.css.gz"] == b"as before"
    assert gzip.decompress(after["other.css.gz"]) == gzip.decompress(after["other.css.br"]) == b"c" * 2000
    assert "same.css" not in brotli.read_text()


def test_brotli_s_failure_is_not_overlooked(tmp_path: Path, brotli: Path) -> None:
    """Half a twin would be sent to visitors."""
    (tmp_path / "fail").touch()
    with pytest.raises(OSError, match="brotli: no space left"):
        published(tmp_path, "one", a=b"a" * 2000)


def test_a_twin_that_saves_nothing_is_not_kept(tmp_path: Path, brotli: Path) -> None:
    """A font is compressed in itself; the edge would unpack it for nothing."""
    assert list(published(tmp_path, "one", font=random.Random(1).randbytes(4096))) == ["font.css"]
    assert brotli.read_text()
