"""A site without an application: a release is its files, and nothing of it runs."""

from __future__ import annotations

from ansible_collections.slipway.flask.plugins.module_utils.engine import activation, application, gate
from ansible_collections.slipway.flask.plugins.module_utils.engine.gate import Check
from ansible_collections.slipway.flask.plugins.module_utils.engine.record import LAYOUT, Release
from ansible_collections.slipway.flask.plugins.modules import release_start

from engine.builds import Build
from engine.host import NEW, OLD, Host, RunModule

CHECK = Check("/", "site.test", 0)
FILES = {
    "index.html": "front",
    "blog/index.html": "blog",
    ".well-known/security.txt": "Contact: mailto:a@site.test",
    ".well-known/apple-app-site-association": "{}",
    ".well-known/.env": "secret",
    ".env": "secret",
    "blog/.well-known/hidden.txt": "below the root it is a hidden folder",
    "LICENSE": "no suffix",
    "make.py": "",
}
PLAN = {"server": "none", "static_dir": ".", "static_url": "/", "static_kinds": ["html", "txt"]}


def built(host: Host, release_id: str) -> Release:
    """Make a release of files alone."""
    release = Release(host.home, release_id)
    (release.path / "public").mkdir(parents=True)
    release.note(state="built", layout=LAYOUT, pages=True)
    return release


def test_a_release_is_what_visitors_may_have_and_nothing_else(source: Build, host: Host) -> None:
    source.files = FILES
    release, refused = source.make(**PLAN)
    public = release.path / "public"
    assert sorted(path.name for path in release.path.iterdir()) == ["public", "release.json"]
    assert sorted(str(path.relative_to(public)) for path in public.rglob("*") if path.is_file()) == [
        ".well-known/apple-app-site-association",
        ".well-known/security.txt",
        "blog/index.html",
        "index.html",
    ]
    left_out = [".env", ".well-known/.env", "LICENSE", "blog/.well-known", "make.py"]
    assert [line.partition(":")[0] for line in refused] == left_out
    assert (public / "index.html").stat().st_uid == 0
    assert (release.record["state"], release.is_pages) == ("built", True)
    assert host.told("uv") == []


def test_a_site_without_a_front_page_is_no_release(source: Build) -> None:
    source.files = {"home.html": "front"}
    assert source.failing(**PLAN).startswith("app_source, app_source_path: the folder has no index.html, which is")
    source.files = {"index.html": "front"}
    said = source.failing(**{**PLAN, "static_kinds": ["css"]})
    assert "no index.html (index.html: of no kind that is published (app_static_kinds)), which is" in said


def test_it_is_switched_without_an_instance(host: Host, run_module: RunModule) -> None:
    site, old, new = host.traffic(), built(host, OLD), built(host, NEW)
    former = []
    for release in (old, new):
        gate.start(site, release, CHECK, undo=False)
        former.append(activation.activate(site, release, 0)[0])
        activation.finish(site, 5, 0)
    assert former == ["", OLD]
    assert (site.active, application.last_good(host.home)) == (NEW, OLD)
    assert not site.folder.tmpfiles.exists()
    assert not site.folder.mount_unit.exists()
    arguments = {"id": NEW, "health_path": "/", "health_host": "site.test", "health_timeout": 0, "lock": "us"}
    said = run_module(release_start.main, **arguments, **host.instances())
    assert (said["changed"], said["settled"]) == (False, True)
