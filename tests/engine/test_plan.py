"""The id of a release: what counts in it, and what does not."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.flask.plugins.module_utils.engine import plan, secrets
from ansible_collections.slipway.flask.plugins.module_utils.engine.errors import ReleaseError

from engine.host import PLAN, Host


def test_whatever_a_release_is_made_of_counts_in_its_id(tmp_path: Path) -> None:
    """Each file of `next` by its name and content, each parameter, the interpreter; and nothing else."""
    stage = tmp_path / "next"
    files = [
        "source.tar.gz",
        "env",
        "requirements.txt",
        "hashes.txt",
        "bin/serve",
        "bin/instance",
        "bin/gunicorn.conf.py",
    ]
    (stage / "bin").mkdir(parents=True)
    for name in files:
        (stage / name).write_text("as it was")

    def id_with(**changed: Any) -> str:
        return dataclasses.replace(PLAN, home=str(tmp_path), **changed).id

    first = id_with()
    assert id_with(source="v2", build_service={"MemoryMax": "75%"}) == first
    ids = {first, id_with(python="/usr/bin/python3.14"), id_with(module="main:web"), id_with(server="uwsgi")}
    ids |= {id_with(prestart=["true"]), id_with(migrate=False)}
    ids |= {id_with(static_dir="assets"), id_with(static_url="/assets/"), id_with(shared_dirs=["data"])}
    ids |= {id_with(build=["make"])}
    ids |= {id_with(uv="/opt/another"), id_with(static_kinds=["js"]), id_with(static_forbidden_suffixes=[])}
    for name in files:
        (stage / name).write_text("changed")
        ids.add(id_with())
        (stage / name).write_text("as it was")
    (stage / "bin/new").write_text("")
    ids.add(id_with())
    assert len(ids) == 14 + len(files)
    (stage / "bin/new").unlink()
    (stage / "bin/granian.toml").write_text("left by another app server")
    for name in secrets.NAMES:
        (stage / name).write_text("for the build alone")
    assert id_with() == first


def test_a_name_of_a_python_is_the_interpreter_behind_it_and_a_version_stays(host: Host) -> None:
    """So that a new minor version of Debian's is a new release."""
    host.program("python3.13")
    (host.programs / "python-of-the-site").symlink_to("python3.13")
    assert plan.interpreter("python-of-the-site") == str(host.programs / "python3.13")
    assert plan.interpreter("3.99") == "3.99"


def test_a_server_without_the_user_that_builds_needs_site_yml_first(accounts: dict[str, int]) -> None:
    assert accounts.keys() == {PLAN.user, PLAN.builder}
    with pytest.raises(ReleaseError, match=r"app_name: the server has no user other-build, .* Run site\.yml"):
        _ = dataclasses.replace(PLAN, user="other").builder
