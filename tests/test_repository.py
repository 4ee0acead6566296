"""The front door: links lead somewhere, hooks are the linters, CI finds every scenario, a tag becomes a release."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

import checks
from plugin import ROOT
from release import ReleaseError, text_of

LINK = re.compile(r"\[[^]\n]*\]\((?!https?://|#)([^)#\s]+)[^)]*\)")
ENTRIES = "- **New users**: welcome.\n- **Everyone**: it works.\n"
CHANGELOG = f"# Changelog\n\n## 0.2.0, not released yet\n\n- **Everyone**: later.\n\n## 0.1.0, 2026-01-31\n\n{ENTRIES}"


def tracked(pattern: str) -> list[Path]:
    """Return the files of the repository that a pattern of git's names, new ones included."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", pattern]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in listed.splitlines() if (path := ROOT / name).is_file()]


def test_each_link_between_documents_leads_to_a_file() -> None:
    lost = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in tracked("*.md")
        for target in LINK.findall(path.read_text())
        if not (path.parent / target).exists()
    ]
    assert lost == []


def test_the_index_of_docs_names_each_document() -> None:
    named = set(LINK.findall((ROOT / "docs/README.md").read_text()))
    assert {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"} <= named


def test_the_hooks_of_pre_commit_are_the_linters() -> None:
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    hooks = {hook["id"]: hook["entry"].replace("../", "") for hook in repository["hooks"]}
    linters = {check.name: [word.replace(f"{ROOT}/", "") for word in check.command] for check in checks.linters()}
    assert hooks.keys() == linters.keys()
    for name, command in linters.items():
        assert [word for word in command if word not in hooks[name]] in ([], ["."]), name


def test_ci_has_a_job_for_every_scenario(tmp_path: Path) -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    (step,) = [step for step in workflow["jobs"]["list"]["steps"] if step.get("id") == "list"]
    output = tmp_path / "output"
    subprocess.run(["bash", "-e", "-c", step["run"]], cwd=ROOT, env={"GITHUB_OUTPUT": str(output)}, check=True)
    name, _, value = output.read_text().partition("=")
    assert name == "checks"
    assert json.loads(value) == ["servers", *sorted(checks.scenario_names())]
    assert all(checks.chosen([check]) for check in json.loads(value))


def test_the_text_of_a_release_is_what_the_changelog_says_of_it() -> None:
    assert text_of("v0.1.0", "0.1.0", CHANGELOG) == f"Slipway 0.1.0\n\n{ENTRIES}"


@pytest.mark.parametrize(
    ("tag", "version", "message"),
    [
        ("v0.2.0", "0.1.0", "galaxy.yml: version is 0.1.0, the tag is v0.2.0"),
        ("0.1.0", "0.1.0", r"Tag v0\.1\.0"),
        ("v0.2.0", "0.2.0", "CHANGELOG.md: 0.2.0 has no date"),
        ("v0.3.0", "0.3.0", "CHANGELOG.md: 0.3.0 has no date"),
        ("v0.1", "0.1", "CHANGELOG.md: 0.1 has no date"),
    ],
)
def test_a_tag_that_does_not_agree_is_not_released(tag: str, version: str, message: str) -> None:
    with pytest.raises(ReleaseError, match=message):
        text_of(tag, version, CHANGELOG)


def test_a_release_without_entries_is_refused() -> None:
    with pytest.raises(ReleaseError, match="no entries"):
        text_of("v0.1.0", "0.1.0", "## 0.1.0, 2026-01-31\n\n## 0.0.9, 2026-01-01\n\n- **Everyone**: it works.\n")
