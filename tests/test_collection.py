"""The collection: what is built, what an installed one can do without a clone, and what mypy sees of it."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

from plugin import ROOT

LINKS = ROOT / ".collections/ansible_collections/slipway/flask"
SITE = ROOT / "examples/site"
PLAYBOOKS = sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml"))
# A separate folder in place of ansible.cfg's collections_path, and a file in place of a password.
ONLY_THE_USERS = {"collections_path", "inventory", "vault_password_file"}


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run one of the tools in a folder, with no setting of this checkout's."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the collection, built."""
    folder = tmp_path_factory.mktemp("built")
    built = run(["ansible-galaxy", "collection", "build", "--output-path", str(folder)], ROOT)
    assert built.returncode == 0, built.stderr
    (path,) = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def site(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository of a user's own: the last commit is installed as its requirements.yml says, then what is built here."""
    folder = tmp_path_factory.mktemp("user") / "site"
    made = run(["make", "--silent", "new-site", f"SITE={folder}"], ROOT)
    assert made.returncode == 0, made.stderr
    requirements = yaml.safe_load((folder / "requirements.yml").read_text())
    # Whatever this clone was cloned from need not be in reach.
    requirements["collections"][0]["name"] = f"file://{ROOT}"
    (folder / "requirements.yml").write_text(yaml.dump(requirements))
    install = ["ansible-galaxy", "collection", "install", "--offline", "--no-deps"]
    installed = run([*install, "--requirements-file", "requirements.yml"], folder)
    assert installed.returncode == 0, installed.stderr
    installed = run([*install, "--force", str(archive)], folder)
    assert installed.returncode == 0, installed.stderr
    return folder


def test_the_users_repository_has_secrets_that_only_the_vault_s_password_opens(site: Path) -> None:
    vault = site / "inventories/production/group_vars/all/vault.yml"
    assert vault.read_text().startswith("$ANSIBLE_VAULT;")
    assert (site / ".vault-password").stat().st_mode & 0o777 == 0o600
    ignored = subprocess.run(["git", "check-ignore", ".vault-password", "collections"], cwd=site, check=False)
    assert ignored.returncode == 0
    read = run(["ansible-vault", "view", str(vault)], site)
    assert "vault_mail_password:" in read.stdout


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_each_playbook_is_found_where_only_the_collection_is_installed(site: Path, playbook: str) -> None:
    listed = run(["ansible-playbook", f"slipway.flask.{playbook}", "--list-tasks"], site)
    assert listed.returncode == 0, listed.stdout + listed.stderr
    assert "TAGS: []" in listed.stdout
    assert listed.stderr == ""


def test_an_ansible_that_is_too_old_is_an_error(site: Path) -> None:
    needs = site / "collections/ansible_collections/slipway/flask/meta/runtime.yml"
    kept = needs.read_text()
    needs.write_text('requires_ansible: ">=99"\n')
    try:
        refused = run(["ansible-playbook", "slipway.flask.site"], site)
    finally:
        needs.write_text(kept)
    assert refused.returncode != 0
    assert refused.stdout == ""
    assert re.fullmatch(
        r"\[ERROR\]: Collection slipway\.flask does not support Ansible version [0-9.]+\n", refused.stderr
    )


def test_a_site_is_not_made_in_the_place_of_another(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    refused = {
        "": "SITE is not set",
        str(tmp_path): f"SITE: {tmp_path} exists already",
        "site": "SITE: site is inside Slipway's own repository",
        f"{ROOT}/docs/../site": "is inside Slipway's own repository",
    }
    for given, message in refused.items():
        made = run(["make", "--silent", "new-site", f"SITE={given}"], ROOT)
        assert made.returncode != 0
        assert message in made.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_collection_holds_what_a_run_needs_and_nothing_else(archive: Path) -> None:
    with tarfile.open(archive) as files:
        names = {name.partition("/")[0] for name in files.getnames()}
    made_by_galaxy = {"FILES.json", "MANIFEST.json"}
    prose = {"CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md", "docs"}
    assert names == made_by_galaxy | prose | {"meta", "playbooks", "plugins", "roles", "templates"}


def test_in_a_clone_the_collection_is_the_clone_itself() -> None:
    assert {link.name for link in LINKS.iterdir()} == {
        "galaxy.yml",
        "meta",
        "playbooks",
        "plugins",
        "roles",
        "templates",
    }
    for link in LINKS.iterdir():
        assert link.readlink() == Path("../../../..") / link.name


def test_a_user_s_repository_has_the_settings_of_a_clone() -> None:
    ours, theirs = configparser.ConfigParser(), configparser.ConfigParser()
    ours.read(ROOT / "ansible.cfg")
    theirs.read(SITE / "ansible.cfg")
    for section in {*ours.sections(), *theirs.sections()}:
        differ = dict(ours[section]).items() ^ dict(theirs[section]).items()
        assert {name for name, _ in differ} <= ONLY_THE_USERS


def test_mypy_sees_the_engine_through_the_modules(tmp_path: Path) -> None:
    """A module that imports what is on the server alone has no types: the engine has its name here, too."""
    engine = "ansible_collections.slipway.flask.plugins.module_utils.engine"
    (tmp_path / "module.py").write_text(
        f"from {engine}.record import Release\n"
        f"from {engine}.traffic import Traffic\n\n\n"
        "def switch(traffic: Traffic, release: Release) -> None:\n"
        "    traffic.gvie(release, 1, 2)\n"
    )
    command = ["mypy", "--config-file", str(ROOT / "pyproject.toml"), str(tmp_path / "module.py")]
    assert '"Traffic" has no attribute "gvie"' in run(command, ROOT).stdout


@pytest.mark.parametrize("path", sorted((ROOT / "plugins").rglob("*.py")), ids=lambda path: path.stem)
def test_code_of_the_collection_is_in_files_that_can_be_read_at_once(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 250
