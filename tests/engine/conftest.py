"""A host for each test, users that no server has, and Ansible's modules in the test's own process."""

from __future__ import annotations

import grp
import json
import os
import pwd
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from engine.host import Host, RunModule

# No user has these numbers: below those that systemd gives to services (UIDS-GIDS.md).
NUMBERS = {"site": 60401, "site-build": 60402}


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Return a host with an application that has no release yet."""
    return Host(tmp_path, monkeypatch)


@pytest.fixture
def accounts(host: Host, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Let this process, and the chown that it runs, know the application's users; return their numbers."""
    homes = {"site": host.home / "shared", "site-build": host.home / "build"}
    users = [
        pwd.struct_passwd((name, "x", number, number, "", str(homes[name]), "/usr/sbin/nologin"))
        for name, number in NUMBERS.items()
    ]
    groups = {name: grp.struct_group((name, "x", number, [])) for name, number in NUMBERS.items()}
    monkeypatch.setattr(pwd, "getpwall", lambda: users)
    monkeypatch.setattr(pwd, "getpwnam", {user.pw_name: user for user in users}.__getitem__)
    monkeypatch.setattr(grp, "getgrnam", groups.__getitem__)
    site, builder = NUMBERS.values()
    words = f"root:site) word=root:{site} ;; site-build:) word={builder}:{builder} ;;"
    loop = f'for word; do shift; case $word in {words} esac; set -- "$@" "$word"; done'
    host.program("chown", f'{loop}; exec $(PATH=/usr/bin:/bin command -v chown) "$@"')
    # pytest's own folders are its user's alone; the application's users have to get through.
    for folder in host.folder.parents[:2]:
        folder.chmod(folder.stat().st_mode | 0o011)
    host.folder.chmod(0o755)
    return NUMBERS


@pytest.fixture
def run_module(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[RunModule]:
    """Return what runs a module's main() with arguments, and returns what the module returned."""

    def run(main: Callable[[], None], *, check: bool = False, **arguments: object) -> dict[str, Any]:
        own = {"_ansible_check_mode": check, "_ansible_tmpdir": str(tmp_path), "_ansible_remote_tmp": str(tmp_path)}
        with patch_module_args({**arguments, **own}), pytest.raises(SystemExit):
            main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    umask = os.umask(0o022)
    yield run
    os.umask(umask)
