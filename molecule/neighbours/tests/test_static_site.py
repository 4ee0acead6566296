"""A site without an application, on a server that has nothing else: from its first deploy to its removal."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from probe import ROOT, Site

SCENARIO = Path(__file__).parents[1]
SERVER = "neighbours-trixie"
LOG_UNITS = "nginx*"
pytestmark = pytest.mark.lost_requests

testinfra_hosts = ["localhost"]


class Readers:
    """Visitors of the front page, from the start of a `with` to its end: each request has a new connection."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.pages: list[str] = []
        self.wrong: list[str] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._read) for _ in range(4)]

    def __enter__(self) -> Readers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _read(self) -> None:
        while not self._over.wait(0.05):  # a test machine's cores have deploys to do, too
            try:
                answer = self.site.ask("/")
            except OSError as error:
                self.wrong.append(repr(error))
                continue
            if answer.status == 200:
                self.pages.append(answer.body.decode())
            else:
                self.wrong.append(str(answer.status))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """An environment whose source is what a build has written, in a folder that git ignores."""
    hosts = (
        (SCENARIO / "environments/tides/hosts.yml").read_text().replace("{{ inventory_dir }}/../../../..", str(ROOT))
    )
    environment = tmp_path / "environment"
    (environment / "group_vars").mkdir(parents=True)
    (environment / "hosts.yml").write_text(
        "".join(line if " db:" not in line else "    db: {hosts: {}}\n" for line in hosts.splitlines(keepends=True))
    )
    known = {"app_name": "brochure", "app_server": "none", "app_domains": ["brochure.test"]}
    (environment / "group_vars/all.yml").write_text(json.dumps({**known, "app_source": str(tmp_path / "project/dist")}))
    return Site(environment, "brochure", SERVER, "brochure.test")


def test_a_site_without_an_application_has_the_same_life(site: Site, tmp_path: Path) -> None:
    dist = tmp_path / "project/dist"
    dist.mkdir(parents=True)
    for name, text in {"index.html": "first", "about.html": "about", "first.css": "b {}", "notes.md": ""}.items():
        (dist / name).write_text(text)

    code, output = site.site_yml()
    assert code == 0, output
    assert "notes.md: of no kind that is published" in output
    assert (site.ask("/").body, site.ask("/about").body) == (b"first", b"about")
    assert site.host.run("systemctl list-units --plain --no-legend 'brochure*'").stdout == ""
    for arguments in (), ("--check", "--diff"):
        code, output = site.site_yml(*arguments)
        assert code == 0, output
        assert " changed=0 " in output

    with Readers(site) as readers:
        (dist / "index.html").write_text("second")
        (dist / "first.css").unlink()
        code, output = site.playbook("deploy")
        assert code == 0, output
        assert site.ask("/").body == b"second"
        assert site.ask("/first.css").status == 200  # of a page that was loaded before
        (dist / "index.html").rename(dist / "home.html")
        code, output = site.playbook("deploy")
        assert code != 0
        assert "app_source, app_source_path: the folder has no index.html" in " ".join(output.split())
        assert site.ask("/").body == b"second"
        code, output = site.playbook("rollback")
        assert code == 0, output
        assert site.ask("/").body == b"first"
    assert readers.wrong == []
    assert {*readers.pages} == {"first", "second"}

    code, output = site.playbook("status")
    assert code == 0, output
    assert "a site without an application: the web server sends its files" in output
    assert "no index.html" in output  # why the last deploy failed

    code, output = site.site_yml(app_server="gunicorn", app_source=str(SCENARIO / "files/tides"))
    assert code != 0
    assert (
        "app_server: brochure is a site without an application on neighbours-trixie, and app_server is gunicorn"
        in output
    )

    code, output = site.playbook("remove", remove="brochure")
    assert code == 0, output
    assert site.host.run("find /srv /run /etc/nginx /etc/tmpfiles.d /var/log/nginx -name '*brochure*'").stdout == ""
    assert "brochure" not in site.host.check_output("getent passwd")
