"""A host for each test, users that no server has, and Ansible's modules in the test's own process."""

from __future__ import annotations

import grp
import json
import os
import pwd
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from engine.builds import Build
from engine.host import Host, RunModule

# Numbers that usually no user has, and different ones for another run of the tests at the same time.
FIRST = 20000 + os.getpid() * 2 % 30000
NUMBERS = {"site": FIRST, "site-build": FIRST + 1}


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder for one test that other users can reach, and that leaves room for a socket's name (107 bytes).

    Below pytest's own neither is so: each run that begins makes them its user's alone again.
    """
    with tempfile.TemporaryDirectory(prefix="slipway-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def host(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Return a host with an application that has no release yet."""
    return Host(folder, monkeypatch)


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
    return NUMBERS


@pytest.fixture
def source(host: Host, accounts: dict[str, int]) -> Build:
    """Return an application that can be built."""
    return Build(host, accounts)


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
