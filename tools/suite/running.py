"""Runs checks side by side, each in processes that the next run finds and ends, should this one be killed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

from checks import BIN, ROOT, Check
from results import COUNTED_STEPS, STEP, Case, Result, failed_tasks, last_lines_of_servers, tests_in, write_junit

LOGS = ROOT / ".cache/suite"
SERVERS = [sys.executable, str(ROOT / "tools/servers")]
# Far above what any takes: a check that hangs is ended, and the others still run.
TIMEOUT_SECONDS = 3600
TERM_SECONDS = 20
ANSI = re.compile(r"\x1b\[[0-9;]*m")
# Processes of a suite have this in their environment: the folder of the checkout.
MARK = "SLIPWAY_SUITE"

Say = Callable[[str], None]


def payloads() -> Path:
    """Return the folder of packed Ansible modules (tests/plugins/callback/payload_cache.py), named after all that can be packed."""
    digest = hashlib.sha256((ROOT / "requirements.txt").read_bytes() + sys.version.encode())
    for folder in ("plugins", "playbooks", "roles"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(f"{path}\0".encode() + path.read_bytes())
    return ROOT / ".cache/payloads" / digest.hexdigest()[:16]


def environment(check: Check) -> dict[str, str]:
    """Return the environment of a check's processes."""
    return {
        **os.environ,
        MARK: str(ROOT),
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "tests/plugins"),
        "PYTEST_PLUGINS": "junit",
        "SLIPWAY_RESULTS": str(LOGS / check.name),
        "SLIPWAY_PAYLOADS": str(payloads()),
        "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests/plugins/callback"),
        "ANSIBLE_CALLBACKS_ENABLED": "payload_cache",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "MOLECULE_COMMAND_BORDERS": "false",
        "MOLECULE_GLOB": "molecule/*/molecule.yml",  # else it warns that a collection's scenarios should be elsewhere
        "COLUMNS": "160",
        "NO_COLOR": "1",
        "ANSIBLE_FORCE_COLOR": "0",
        "ANSIBLE_NOCOLOR": "1",
    }


def end_rest_of(process: subprocess.Popen[str]) -> None:
    """End what a check leaves behind when it ends: that would hold the check's output open."""
    process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def lines_of(check: Check, log: Path) -> Iterator[str]:
    """Run a check and yield its output, which also goes to a file; the exit code comes last."""
    process = subprocess.Popen(
        check.command,
        cwd=check.folder,
        env=environment(check),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    timer = threading.Timer(TIMEOUT_SECONDS, os.killpg, (process.pid, signal.SIGKILL))
    timer.daemon = True
    timer.start()
    threading.Thread(target=end_rest_of, args=[process], daemon=True).start()
    try:
        with log.open("w") as stream:
            for line in process.stdout or ():
                clean = ANSI.sub("", line)
                stream.write(clean)
                stream.flush()
                yield clean.rstrip("\n")
    finally:
        if process.poll() is None:  # the log could not be written: the disk is full
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        code = process.wait()
        timer.cancel()
    yield f"exit code {code}"


def perform(check: Check, say: Say) -> Result:
    """Run a check to its end; return what it came to."""
    (LOGS / check.name).mkdir(exist_ok=True)
    say(f"{check.name} …")
    result = Result()
    output: list[str] = []
    began = step_began = time.monotonic()
    line, over = "", False
    for line in lines_of(check, LOGS / f"{check.name}.log"):
        output.append(line)
        over = over or line == "DETAILS"  # Molecule's summary repeats every step
        step = None if over else STEP.search(line)
        if step and step["what"] == "Executing":
            step_began = time.monotonic()
            output = []
        elif step and step["result"] not in {"Missing", "Disabled"}:
            seconds = time.monotonic() - step_began
            result.steps.append((step["step"], seconds))
            good = step["result"] == "Successful"
            # Failed tests are named by pytest.
            if step["step"] in COUNTED_STEPS or (not good and step["step"] != "verify"):
                reason = "" if good else failed_tasks(output)
                result.cases.append(Case(f"{check.name}: {step['step']}", seconds, good, reason))
    result.seconds = time.monotonic() - began
    conclude(check, result, output, succeeded=line == "exit code 0")
    steps = ", ".join(f"{name} {seconds:.0f}" for name, seconds in result.steps if seconds >= 1)
    say(
        f"{check.name}: {result.passed} passed, {len(result.failures)} failed ({result.seconds:.0f} s"
        + (f": {steps})" if steps else ")")
    )
    return result


def conclude(check: Check, result: Result, output: list[str], *, succeeded: bool) -> None:
    """Add the tests that pytest ran, and to a step that failed what the servers logged last. The exit code has the last word."""
    for case in result.failures:
        case.log = last_lines_of_servers(LOGS / check.name)
    if result.cases:
        write_junit(LOGS / check.name / "steps.xml", check.name, result.cases)
    for path in sorted((LOGS / check.name).glob("pytest-*.xml")):
        try:
            result.cases += tests_in(path)
        except ElementTree.ParseError as error:  # pytest was killed as it wrote it
            result.cases.append(Case(f"{check.name}: {path.name}", passed=False, reason=str(error)))
    if not result.cases or (not succeeded and not result.failures):
        case = Case(check.name, result.seconds, succeeded, "" if succeeded else failed_tasks(output))
        result.cases.append(case)
        write_junit(LOGS / check.name / "command.xml", check.name, [case])


class Lanes:
    """Checks under way at once: as many as there are lanes."""

    def __init__(self, checks: list[Check], lanes: int, say: Say) -> None:
        self._waiting, self._say = list(checks), say
        self._threads = [threading.Thread(target=self._drive, daemon=True) for _ in range(lanes)]
        self._one = threading.Lock()
        self.results: dict[str, Result] = {}

    def run(self) -> None:
        """Run all of them."""
        for thread in self._threads:
            thread.start()
        for thread in self._threads:
            while thread.is_alive():
                thread.join(1)  # so that a Ctrl-C is heard

    def end(self) -> None:
        """End what is under way, with what it left behind; nothing more begins."""
        with self._one:
            self._waiting.clear()
        end_leftovers()
        while any(thread.is_alive() for thread in self._threads):  # one had taken a check, and begins it now
            end_leftovers()
            time.sleep(0.1)  # between two looks: the lane sees that its check has ended

    def _drive(self) -> None:
        while (check := self._take()) is not None:
            try:
                self.results[check.name] = perform(check, self._say)
            except Exception as error:  # whatever it is: the check has failed, and the lane goes on
                reason = f"{type(error).__name__}: {error}"
                self.results[check.name] = Result(cases=[Case(check.name, passed=False, reason=reason)])
                self._say(f"{check.name}: 0 passed, 1 failed ({reason})")

    def _take(self) -> Check | None:
        """Return the next check; None where there is none left."""
        with self._one:
            return self._waiting.pop(0) if self._waiting else None


def marked() -> list[int]:
    """Return the processes of this checkout's suites, but for this one."""
    word = f"{MARK}={ROOT}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if int(path.parent.name) != os.getpid() and word in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def end_leftovers(patience_seconds: float = TERM_SECONDS) -> None:
    """End what checks of a run that was interrupted still do: first politely, as Ansible gives back locks."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + patience_seconds
        for pid in marked():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        while marked() and time.monotonic() < deadline:
            time.sleep(0.1)


def remove_servers(checks: list[Check], say: Say) -> None:
    """Remove the servers that these checks boot. Others, as the demo's, are not ours to remove."""
    names = [name for check in checks for name in check.servers]
    if names:
        done = subprocess.run([*SERVERS, "down", *names], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            say(f"Servers could not be removed: {done.stderr.strip()}")
