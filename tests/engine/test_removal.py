"""An application is taken off the host: what is stopped, what is kept, what is left as it is not the application's."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path

import pytest
from ansible_collections.slipway.flask.plugins.module_utils.engine import removal
from ansible_collections.slipway.flask.plugins.module_utils.engine.errors import ReleaseError
from ansible_collections.slipway.flask.plugins.module_utils.engine.traffic import Traffic

from engine.host import OLD, Host, asked


@pytest.fixture(autouse=True)
def nobody_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has a user's number on the machine of the tests lives on."""
    monkeypatch.setattr(os, "kill", lambda *_: None)


@pytest.fixture
def site(host: Host) -> Traffic:
    """Return an application with something to keep, none of whose users exists."""
    (host.home / "shared").mkdir()
    (host.home / "shared/photo.jpg").touch()
    (host.home / "secret_key").touch()
    (host.home / "release.log").touch()
    site = Traffic(str(host.home), str(host.run), "site", "site", "")
    site.folder.tmpfiles.touch()
    site.folder.mount_unit.touch()
    return site


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_cannot_be_made_again_is_kept_and_all_else_is_gone(host: Host, site: Traffic) -> None:
    running = host.release(OLD, instance=f'[ "$1" != stop ] || touch {host.folder}/stopped', running=True)
    kept = host.folder / "backups/site-1"
    assert removal.remove(site, kept) == ["shared", "secret_key", "release.log"]
    assert names(kept) == ["release.log", "secret_key", "shared"]
    assert names(kept / "shared") == ["photo.jpg"]
    assert kept.stat().st_mode & 0o7777 == kept.parent.stat().st_mode & 0o7777 == 0o700
    assert (host.folder / "stopped").exists()
    assert not any(path.exists() for path in (running.home, site.run, site.folder.tmpfiles, site.folder.mount_unit))
    assert host.told("systemctl")[0].startswith("disable --quiet --now")


def test_nothing_is_kept_of_an_application_that_kept_nothing(host: Host, site: Traffic) -> None:
    """Empty folders of shared/ can be made again."""
    for name in ("shared/photo.jpg", "secret_key", "release.log"):
        (host.home / name).unlink()
    (host.home / "shared/uploads/2026").mkdir(parents=True)
    assert removal.remove(site, host.folder / "kept") == []
    assert not (host.folder / "kept").exists()
    assert not host.home.exists()


def test_a_home_that_is_a_link_goes_with_what_it_leads_to(host: Host, site: Traffic) -> None:
    """As where the application lies on another disk."""
    host.home.rename(host.folder / "disk")
    host.home.symlink_to("disk")
    removal.remove(site, host.folder / "kept")
    assert not os.path.lexists(host.home)
    assert not (host.folder / "disk").exists()


def test_what_is_mounted_in_the_application_is_never_emptied(
    host: Host, site: Traffic, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = host.release(OLD, running=True)
    info = host.folder / "mountinfo"
    info.write_text(
        f"36 25 0:31 / {host.home}/shared/nfs rw - nfs4 files:/ rw\n37 25 0:31 / /srv rw - ext4 /dev/sda rw\n"
    )
    monkeypatch.setattr(removal, "MOUNTINFO", info)
    with pytest.raises(ReleaseError, match=rf"app_shared_dirs: {host.home}/shared/nfs is mounted there"):
        removal.remove(site, host.folder / "kept")
    assert asked(running) == []
    assert names(host.home / "shared") == ["photo.jpg"]


def test_where_something_cannot_be_kept_nothing_is_removed(host: Host, site: Traffic) -> None:
    host.program("mv", "echo 'mv: No space left on device' >&2; exit 1")
    with pytest.raises(
        ReleaseError, match=r"home/shared could not be moved to .*: mv: No space left on device. Nothing was removed"
    ):
        removal.remove(site, host.folder / "kept")
    assert names(host.home / "shared") == ["photo.jpg"]
    assert site.folder.tmpfiles.exists()


def test_the_application_s_users_go_last_with_their_quotas_and_groups(
    host: Host, site: Traffic, accounts: dict[str, int]
) -> None:
    host.program("setquota")
    host.program("userdel", f"[ ! -e {host.home} ]")
    host.program("groupdel")
    removal.remove(site, host.folder / "kept")
    assert host.told("userdel") == [f"--force {name}" for name in accounts]
    assert host.told("setquota") == [f"--user {name} 0 0 0 0 --all" for name in accounts]
    assert host.told("groupdel") == [*accounts]  # here userdel has left them


def test_a_user_of_the_same_name_that_is_somebody_else_s_stays(host: Host, accounts: dict[str, int]) -> None:
    assert removal.own_users(host.home, "site") == [*accounts]
    assert removal.own_users(host.folder / "other", "site") == []


def test_a_user_that_the_system_does_not_let_go_is_an_error(host: Host, accounts: dict[str, int]) -> None:
    host.program("userdel", "echo 'userdel: cannot lock /etc/passwd' >&2; exit 1")
    with pytest.raises(ReleaseError, match=r"app_name: the user site could not be removed: userdel: cannot lock"):
        removal.remove_user("site")
    assert "site" in accounts


def test_a_process_that_cannot_be_ended_keeps_its_user(
    accounts: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "ATTEMPTS", 2)
    with (
        # It ends with its input, when this process closes it.
        subprocess.Popen(["cat"], user=accounts["site"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL),
        pytest.raises(ReleaseError, match=r"app_name: processes of the user site cannot be ended: ps -u site"),
    ):
        removal.end_processes("site")
    removal.end_processes("site")


def test_a_process_that_ends_meanwhile_is_nobody_s(tmp_path: Path) -> None:
    assert removal.uid(tmp_path / "12345") == -1
    assert removal.uid(tmp_path) == pwd.getpwuid(os.getuid()).pw_uid


def test_what_a_deploy_that_was_killed_left_running_is_stopped(host: Host, site: Traffic) -> None:
    transient = host.system / "systemd/transient"
    transient.mkdir()
    for step in ("build", "check", "prestart"):
        (transient / f"site-{step}.service").touch()
    removal.stop(site, [])
    stopped = [told for told in host.told("systemctl") if told.startswith("stop")]
    assert stopped == ["stop site-build", "stop site-check", "stop site-prestart"]
