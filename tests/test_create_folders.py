"""Folders are as they were asked for, and nothing else becomes one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.slipway.flask.plugins.modules import create_folders

WANTED = {"owner": os.geteuid(), "group": os.getegid(), "mode": "0750"}


def test_a_folder_that_is_missing_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new"
    assert create_folders.about(path) == {}
    create_folders.create(path, WANTED)
    assert create_folders.about(path) == WANTED


def test_one_that_is_there_is_corrected_and_keeps_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("here")
    tmp_path.chmod(0o2777)
    assert create_folders.about(tmp_path)["mode"] == "2777"
    create_folders.create(tmp_path, WANTED)
    assert create_folders.about(tmp_path) == WANTED
    assert (tmp_path / "kept").read_text() == "here"


def test_a_link_to_a_folder_on_another_disk_counts(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "shared").symlink_to("disk")
    create_folders.create(tmp_path / "shared", WANTED)
    assert create_folders.about(tmp_path / "disk") == WANTED
    assert (tmp_path / "shared").is_symlink()


def test_what_is_not_a_folder_stays_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="file is not a folder"):
        create_folders.about(tmp_path / "file")


def test_a_user_that_is_not_there_yet_owns_nothing() -> None:
    assert create_folders.uid("root") == create_folders.gid("root") == 0
    assert create_folders.uid("nobody-yet") == create_folders.gid("nobody-yet") == create_folders.NOBODY
