"""The suite itself: what it counts, what it shows of a failure, what runs at the same time, and what a change can touch."""

from __future__ import annotations

import marshal
import os
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.template import Templar, trust_as_template

import changes
import checks
import results
import running
from checks import Check
from plugins.callback import payload_cache
from probe import until

PATIENCE_SECONDS = 300

FAILING = """
import logging

def test_good():
    pass

def test_bad():
    logging.warning("the server's last words")
    assert 1 + 1 == 3, "sums"
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs lie in a folder of the test's, and processes are marked as another checkout's."""
    monkeypatch.setattr(running, "LOGS", tmp_path / "logs")
    monkeypatch.setattr(running, "ROOT", tmp_path)
    monkeypatch.setattr(running, "payloads", lambda: tmp_path / "payloads")
    (tmp_path / "logs").mkdir()


def python(name: str, program: str, folder: Path) -> Check:
    return Check(name, [sys.executable, "-c", program], folder)


def test_each_test_counts_and_a_failure_says_what_was_expected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "test_it.py").write_text(FAILING)
    (tmp_path / "pytest.ini").write_text("[pytest]\njunit_logging = all\n")
    monkeypatch.setenv("SLIPWAY_RESULTS", str(tmp_path / "logs/it"))
    plugins = {**running.environment(Check("it", [])), "PYTHONPATH": str(checks.ROOT / "tests/plugins")}
    monkeypatch.setattr(running, "environment", lambda _: plugins)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(tmp_path)]
    result = running.perform(Check("it", command, tmp_path), lambda _: None)
    (failure,) = result.failures
    assert result.passed == 1
    assert failure.name.endswith("::test_bad")
    assert "AssertionError: sums" in failure.reason
    assert "assert (1 + 1) == 3" in failure.reason
    assert "the server's last words" in failure.log
    assert list((tmp_path / "logs/it").glob("*.xml"))


@pytest.mark.parametrize(("program", "passed"), [("", True), ("raise SystemExit(3)", False)])
def test_a_command_without_tests_counts_once(tmp_path: Path, program: str, passed: bool) -> None:
    result = running.perform(python("tool", program, tmp_path), lambda _: None)
    assert [case.passed for case in result.cases] == [passed]
    assert (tmp_path / "logs/tool/command.xml").exists()


def test_a_step_that_fails_shows_what_ansible_said_of_it_and_the_servers_last_lines(tmp_path: Path) -> None:
    output = """
import pathlib
print("INFO     [nginx > create] Executing")
print("INFO     [nginx > create] Executed: Successful")
print("INFO     [nginx > converge] Executing")
print("TASK [Install packages]")
print("fatal: [server]: FAILED! => no such package")
print("ERROR    [nginx > converge] Executed: Failed")
print("INFO     [nginx > destroy] Executing")
pathlib.Path("logs/nginx/nginx-trixie.log").write_text("nginx[1]: emerg\\n")
print("INFO     [nginx > destroy] Executed: Successful")
raise SystemExit(1)
"""
    result = running.perform(python("nginx", output, tmp_path), lambda _: None)
    (failure,) = result.failures
    assert failure.name == "nginx: converge"
    assert failure.reason.startswith("fatal: [server]: FAILED! => no such package")
    assert failure.log == "nginx-trixie:\nnginx[1]: emerg"
    assert "emerg" in (tmp_path / "logs/nginx/steps.xml").read_text()
    assert [step for step, _ in result.steps] == ["create", "converge", "destroy"]


COUNTS_A_WHOLE_MODULE = """
import os, pathlib, subprocess, sys
import pytest
from probe import until

pytestmark = pytest.mark.lost_requests

def test_first():
    other = subprocess.Popen([sys.executable, "-m", "pytest", "test_other.py"])
    waits = f"-> FLOCK  ADVISORY  WRITE {other.pid} "
    until(lambda: waits in pathlib.Path("/proc/locks").read_text(), "the other waits", 300)
    assert pathlib.Path("said").read_text() == "counts nothing\\n"

def test_second():
    assert pathlib.Path("said").read_text() == "counts nothing\\n"
"""
COUNTS_ONCE = """
import pytest

def say(words):
    with open("said", "a") as stream:
        stream.write(words + "\\n")

def test_plain():
    say("counts nothing")

@pytest.mark.lost_requests
def test_marked():
    say("counts")
"""


def test_lost_requests_are_counted_by_one_scenario_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a whole module, whose visitors stay from one test to the next, and by a single test. Others go on."""
    conftest = (
        (checks.ROOT / "molecule/conftest.py").read_text().replace('ROOT / ".cache', 'Path(__file__).parent / ".cache')
    )
    (tmp_path / "conftest.py").write_text(conftest)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = lost_requests\n")
    (tmp_path / "test_module.py").write_text(COUNTS_A_WHOLE_MODULE)
    (tmp_path / "test_other.py").write_text(COUNTS_ONCE)
    paths = [str(checks.ROOT / folder) for folder in ("molecule/shared", "tools", "tools/suite")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.delenv("PYTEST_PLUGINS", raising=False)  # the suite's own
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_module.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    until(lambda: (tmp_path / "said").read_text() == "counts nothing\ncounts\n", "the other goes on", PATIENCE_SECONDS)


def test_a_check_whose_results_cannot_be_read_has_failed(tmp_path: Path) -> None:
    """Pytest was killed as it wrote them. What else there is counts."""
    program = """
import pathlib
pathlib.Path("logs/half/pytest-1.xml").write_text("<testsuite><testcase name='good' classname='it'/></testsuite>")
pathlib.Path("logs/half/pytest-2.xml").write_text("<testsuite><testcase")
"""
    result = running.perform(python("half", program, tmp_path), lambda _: None)
    (failure,) = result.failures
    assert failure.name == "half: pytest-2.xml"
    assert result.passed == 1


def test_no_check_is_lost_whatever_comes_in_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the lane goes on."""

    def perform(check: Check, _: Callable[[str], None]) -> results.Result:
        if check.name == "bad":
            raise RuntimeError("no such luck")
        return results.Result()

    monkeypatch.setattr(running, "perform", perform)
    lanes = running.Lanes([Check(name, []) for name in ("bad", "good")], 1, lambda _: None)
    lanes.run()
    (failure,) = lanes.results["bad"].failures
    assert failure.reason == "RuntimeError: no such luck"
    assert lanes.results["good"].failures == []


def test_the_longest_scenarios_are_ones_that_there_are() -> None:
    assert checks.scenario_names()[: len(checks.LONGEST_FIRST)] == list(checks.LONGEST_FIRST)


def test_what_a_killed_run_left_is_ended_with_all_it_started(tmp_path: Path) -> None:
    """Also what does not heed SIGTERM, and what left its session."""
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    environment = {**os.environ, running.MARK: str(tmp_path)}
    left = [
        subprocess.Popen(["setsid", "--wait", "sleep", "600"], env=environment),
        subprocess.Popen([sys.executable, "-c", stubborn], env=environment, stdout=subprocess.PIPE),
    ]
    assert left[1].stdout
    left[1].stdout.readline()
    threading.Thread(target=lambda: [process.wait() for process in left], daemon=True).start()  # as PID 1 does
    running.end_leftovers(patience_seconds=1)
    until(lambda: running.marked() == [], "all have ended")


def test_a_full_disk_ends_a_check_with_all_it_started(tmp_path: Path) -> None:
    """And the next run is not bothered."""
    log = tmp_path / "logs/long.log"
    log.symlink_to("/dev/full")
    program = "import subprocess, time; subprocess.Popen(['sleep', '600']); print('words', flush=True); time.sleep(600)"
    check = python("long", program, tmp_path)
    lanes = running.Lanes([check], 1, lambda _: None)
    lanes.run()
    (failure,) = lanes.results["long"].failures
    assert "No space left on device" in failure.reason
    until(lambda: running.marked() == [], "all have ended")
    log.unlink()
    assert running.perform(python("long", "", tmp_path), lambda _: None).failures == []


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout with the suite and one scenario, whose molecule waits until it is told to end."""
    folder = tmp_path / "checkout"
    shutil.copytree(checks.ROOT / "tools", folder / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in {
        "requirements.txt": "",
        "molecule/later/molecule.yml": "platforms: [{name: later-trixie, debian: trixie}]",
        "molecule/waiting/molecule.yml": "platforms: [{name: waiting-trixie, debian: trixie}]",
        "tools/servers/__main__.py": "",
        ".venv/bin/molecule": "#!/bin/sh\nsleep 600 & echo begun; while ! [ -e enough ]; do sleep 0.1; done\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / ".venv/bin/molecule").chmod(0o755)
    for part in ("tests/plugins", "plugins", "playbooks", "roles"):
        (folder / part).mkdir(parents=True)
    return folder


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_run_after_one_that_was_interrupted_is_not_bothered(
    checkout: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "ROOT", checkout)
    command = [sys.executable, str(checkout / "tools/suite"), "waiting", "later"]
    monkeypatch.setenv("SLIPWAY_LANES", "1")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as first:
        log = checkout / ".cache/suite/waiting.log"
        try:
            until(lambda: log.exists() and "begun" in log.read_text(), "the check is under way", PATIENCE_SECONDS)
            first.send_signal(number)
            said, _ = first.communicate(timeout=PATIENCE_SECONDS)
        finally:
            first.kill()
    assert first.returncode != 0
    if number == signal.SIGKILL:
        assert running.marked(), "what was started goes on: that is what the next run has to deal with"
    else:
        until(lambda: running.marked() == [], "all have ended")
        assert "suite: interrupted." in said
        assert "later …" not in said
    (checkout / "enough").touch()
    second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)
    assert second.stdout.splitlines()[-1] == "2 passed, 0 failed", second.stdout + second.stderr
    until(lambda: running.marked() == [], "all have ended")


def names(files: list[str], monkeypatch: pytest.MonkeyPatch) -> set[str]:
    monkeypatch.setattr(changes, "changed_files", lambda _: files)
    return {check.name for check in changes.checks_for()}


LINTERS = {check.name for check in checks.linters()}
FAST = LINTERS | {check.name for check in checks.fast_tests()}


@pytest.mark.parametrize(
    ("files", "scenarios"),
    [
        (["roles/gunicorn/tasks/main.yml"], {"gunicorn", "app", "pair"}),
        (["roles/granian/templates/serve.j2"], {"granian", "app", "releases", "matrix", "hostile"}),
        (
            ["plugins/module_utils/edge/files.py"],
            {"nginx", "apache", "app", "certificates", "pair", "matrix", "hostile"},
        ),
        (["roles/edge/tasks/absent.yml"], {"nginx", "apache", "app", "certificates", "pair", "matrix", "hostile"}),
        (
            ["plugins/filter/networks.py"],
            {"connection_limit", "nginx", "apache", "app", "pair", "certificates", "matrix", "hostile"},
        ),
        (["molecule/shared/edge_promises/test_promises.py"], {"nginx", "apache"}),
        (["molecule/systemd/files/serve"], {"systemd", "supervisor"}),
        (["molecule/shared/one_application/again.yml"], {"app", "releases"}),
        (["roles/app/README.md"], set()),
        (["tests/test_dev.py", "Makefile"], set()),
        ([".github/workflows/ci.yml", "examples/site/.github/workflows/deploy.yml"], set()),
        ([".editorconfig", ".pre-commit-config.yaml", ".yamllint"], set()),
    ],
)
def test_a_change_asks_the_scenarios_that_it_can_touch(
    files: list[str], scenarios: set[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert names(files, monkeypatch) == FAST | scenarios
    assert "Left out: lifecycle" in capsys.readouterr().out


def test_a_change_of_what_journeys_share_asks_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    journeys = {"default", "lifecycle", "matrix", "neighbours", "pair"}
    assert names(["playbooks/deploy.yml"], monkeypatch) >= journeys
    assert names(["plugins/module_utils/engine/publish.py"], monkeypatch) >= {*journeys, "app", "releases"}
    # Which the app servers' scenarios have, too.
    assert names(["roles/app/templates/slipway_wsgi.py.j2"], monkeypatch) >= {*journeys, "gunicorn", "mod_wsgi"}


def test_prose_alone_asks_the_linters(monkeypatch: pytest.MonkeyPatch) -> None:
    prose = ["README.md", "CONTRIBUTING.md", "docs/testing.md", ".github/pull_request_template.md"]
    assert names(prose, monkeypatch) == LINTERS


def test_tests_of_the_servers_are_asked_when_they_change(monkeypatch: pytest.MonkeyPatch) -> None:
    assert names(["tools/servers/tests/test_servers.py"], monkeypatch) == FAST | {"servers"}


def test_byte_code_that_a_module_left_on_a_server_serves_the_next(tmp_path: Path) -> None:
    text = (
        (checks.ROOT / "tests/plugins/byte_code.py").read_text().replace("/run/ansible-byte-code", f"{tmp_path}/kept")
    )

    def imported(archive: str, source: str) -> str:
        with zipfile.ZipFile(tmp_path / archive, "w") as packed:
            packed.writestr("packed_module.py", source)
        program = f"{text}\nsys.path.insert(0, '{tmp_path}/{archive}')\nimport packed_module as it\n"
        show = "print(it.SAID, it.say.__code__.co_filename)"
        return subprocess.run([sys.executable, "-c", program + show], capture_output=True, text=True, check=True).stdout

    good, other = ("SAID = 'good'\ndef say(): ...", "SAID = 'other'\ndef say(): ...")
    assert imported("one.zip", good) == f"good {tmp_path}/one.zip/packed_module.py\n"
    (kept,) = (tmp_path / "kept").glob("*/*")
    # In its place what no source says: so one sees where the next comes from.
    kept.write_bytes(marshal.dumps(compile("SAID = 'kept'\ndef say(): ...", "one.zip", "exec")))
    assert imported("two.zip", good) == f"kept {tmp_path}/two.zip/packed_module.py\n"
    assert imported("two.zip", other) == f"other {tmp_path}/two.zip/packed_module.py\n"


def test_the_code_of_a_template_serves_the_next_process_that_reads_it_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    templates = payload_cache.Templates(folder)
    monkeypatch.setattr(payload_cache.Environment, "compile", lambda *given, **how: templates.compile(*given, **how))

    def rendered(text: str, **how: Any) -> object:
        return Templar(None, {}).template(trust_as_template(text), **how)

    text, brackets = r"{{ 'a\tb' }}[[ 1 ]]", {"variable_start_string": "[[", "variable_end_string": "]]"}
    for _ in ("compiled", "kept"):
        assert rendered(text, escape_backslashes=False) == "a\tb[[ 1 ]]"
        assert rendered(text) == r"a\tb[[ 1 ]]"
        assert rendered(text, overrides=brackets) == r"{{ 'a\tb' }}1"
    kept = list(folder.iterdir())
    assert len(kept) == 3
    for file in kept:  # in their place what no text says: so one sees where the next comes from
        file.write_bytes(marshal.dumps(payload_cache.Environment().compile("kept")))
    assert rendered(text) == "kept"


FOR_ALL = [
    "tools/servers/network.py",
    "molecule/shared/probe.py",
    "molecule/shared/reboot.yml",
    "molecule/conftest.py",
    "tests/plugins/junit.py",
    "tools/suite/results.py",
    "pyproject.toml",
    "requirements.txt",
]


@pytest.mark.parametrize("file", FOR_ALL)
def test_what_every_scenario_runs_with_asks_them_all(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert names([file], monkeypatch) == {check.name for check in checks.chosen([])}


def test_a_renamed_file_touches_what_it_was_and_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "ROOT", tmp_path)
    (tmp_path / "before").write_text("words\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.test"]
    for command in ["init --quiet -b main", "add .", "commit --quiet -m one", "mv before after"]:
        subprocess.run([*git, *command.split()], cwd=tmp_path, check=True)
    assert changes.changed_files("main") == ["after", "before"]


def test_a_revision_that_is_none_is_one_message() -> None:
    with pytest.raises(SystemExit, match="BASE: git merge-base no-such-revision HEAD"):
        changes.checks_for("no-such-revision")
