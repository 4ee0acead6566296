"""What the programs of quotas say, as Debian 13's do."""

from __future__ import annotations

import shutil

import pytest
from ansible_collections.slipway.flask.plugins.modules import disk_limit

REPORT = """\
Disk quotas for user told (uid 995):
     Filesystem  blocks   quota   limit   grace   files   quota   limit   grace
       /dev/vda {blocks}   65536   65536       0    4096*    4096    4095       0
"""


@pytest.mark.parametrize(
    ("said", "holds"),
    [
        ("user quota on / (/dev/vda) is on (enforced)", True),
        ("user quota on / (/dev/vda) is on", True),
        ("user quota on / (/dev/vda) is on (accounting)", False),
        ("user quota on / (/dev/vda) is off", False),
        ("", False),
    ],
)
def test_quotas_that_only_count_are_not_enforced(said: str, holds: bool) -> None:
    assert disk_limit.enforced(said) is holds


@pytest.mark.parametrize("blocks", ["      4", " 65536*"])
def test_limits_are_read_also_where_one_is_reached(blocks: str) -> None:
    assert disk_limit.limits(REPORT.format(blocks=blocks)) == (65536, 65536, 4096, 4095)


def test_a_report_without_limits_is_an_error() -> None:
    with pytest.raises(disk_limit.QuotaError):
        disk_limit.limits("")


@pytest.mark.parametrize(
    ("options", "disk"),
    [
        ("rw,relatime,quota,usrquota,errors=remount-ro", "/"),
        ("rw,usrjquota=aquota.user,jqfmt=vfsv1", "/"),
        ("rw,relatime,quota,grpquota", ""),
        ("rw,noquota", ""),
    ],
)
def test_a_disk_counts_that_is_mounted_with_quotas_of_users(
    monkeypatch: pytest.MonkeyPatch, options: str, disk: str
) -> None:
    listed = f'{{"filesystems": [{{"target": "/", "options": "{options}"}}]}}'
    monkeypatch.setattr(disk_limit, "run", lambda *_: listed)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: "/usr/sbin/setquota")
    assert disk_limit.disk_with_quotas("/") == disk


def test_a_missing_folder_has_no_quotas() -> None:
    assert disk_limit.disk_with_quotas("/srv/there/is/none") == ""
