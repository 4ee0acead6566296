#!/usr/bin/env python3
"""All checks, one after another: linters, fast tests, throwaway servers, Molecule scenarios.

    suite.py                 everything
    suite.py lint fast       parts: lint, fast, servers, scenarios
    suite.py nginx app       single scenarios by name

Prints a line for each step, with the time since the start; the whole output of each check is in
.cache/suite/<check>.log. The last line is `N passed, N failed`: each linter counts 1, each test
counts 1, and so do a scenario's converge and idempotence.
"""

from __future__ import annotations

import dataclasses
import fcntl
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
BIN = ROOT / ".venv/bin"
LOGS = ROOT / ".cache/suite"
SERVERS = [sys.executable, str(ROOT / "molecule/shared/servers.py")]
# Far above what any takes: a check that hangs is ended, and the others still run.
TIMEOUT_SECONDS = 2400
LINES_SHOWN_OF_A_FAILURE = 120
LINES_REPEATED = 20
ANSI = re.compile(r"\x1b\[[0-9;]*m")
# `INFO     [nginx > converge] Executed: Successful`
STEP = re.compile(r"\[[\w-]+ > (?P<step>\w+)\] (?P<what>Executing$|Executed: (?P<result>\w+))")
COUNTED_STEPS = ("converge", "idempotence")
SHOWN = {"side_effect": "reboot"}


@dataclasses.dataclass
class Check:
    """One command of the suite, and what it came to."""

    name: str
    command: list[str]
    folder: Path = ROOT
    scenario: str = ""
    # Steps that count beside the tests which pytest counts: Molecule's, or the command as a whole.
    steps: dict[str, bool] = dataclasses.field(default_factory=dict)
    passed: int = 0
    failed: int = 0

    @property
    def log(self) -> Path:
        return LOGS / f"{self.name}.log"


class Clock:
    def __init__(self) -> None:
        self.start = time.monotonic()

    def say(self, text: str) -> None:
        seconds = int(time.monotonic() - self.start)
        print(f"[{seconds // 60:3d}:{seconds % 60:02d}] {text}", flush=True)


# ---------------------------------------------------------------------------------- checks


def tool(name: str, *arguments: str) -> list[str]:
    return [str(BIN / name), *arguments]


def linters() -> list[Check]:
    app_python = f"--python-executable={ROOT}/.venv-app/bin/python"
    return [
        Check("yamllint", tool("yamllint", "--strict", ".")),
        Check("ansible-lint", tool("ansible-lint", "--strict")),
        Check("ruff-check", tool("ruff", "check", ".")),
        Check("ruff-format", tool("ruff", "format", "--check", ".")),
        Check("mypy", tool("mypy", ".")),
        Check("mypy-app", tool("mypy", app_python), folder=ROOT / "app"),
    ]


def fast_tests() -> list[Check]:
    app = str(ROOT / ".venv-app/bin/python")
    return [
        Check("tests", tool("pytest", "tests")),
        Check("app", [app, "-m", "pytest"], folder=ROOT / "app"),
    ]


def scenario_names() -> list[str]:
    return sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))


def scenarios() -> list[Check]:
    return [Check(f"molecule-{name}", tool("molecule", "test", "-s", name), scenario=name) for name in scenario_names()]


def server_tests() -> list[Check]:
    return [Check("servers", tool("pytest", "molecule/shared/tests"))]


def chosen(words: list[str]) -> list[Check]:
    parts: dict[str, Callable[[], list[Check]]] = {
        "lint": linters,
        "fast": fast_tests,
        "servers": server_tests,
        "scenarios": scenarios,
    }
    checks: list[Check] = []
    for word in words or list(parts):
        found = parts[word]() if word in parts else []
        found = found or [check for check in scenarios() if check.scenario == word]
        if not found and word not in parts:
            known = ", ".join([*parts, *scenario_names()])
            sys.exit(f"suite.py: no check {word!r}. There are: {known}")
        checks += found
    return checks


# --------------------------------------------------------------------------------- running


def environment(check: Check) -> dict[str, str]:
    tally = check.log.with_suffix(".tally")
    tally.unlink(missing_ok=True)
    return {
        **os.environ,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "tests/plugins"),
        "PYTEST_PLUGINS": "tally",
        "SLIPWAY_TALLY": str(tally),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "MOLECULE_COMMAND_BORDERS": "false",
        "COLUMNS": "160",
        "NO_COLOR": "1",
        "ANSIBLE_FORCE_COLOR": "0",
        "ANSIBLE_NOCOLOR": "1",
    }


def lines_of(check: Check) -> Iterator[str]:
    """Runs a check and yields its output, which also goes to its log; the exit code comes last."""
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
    assert process.stdout is not None
    timer = threading.Timer(TIMEOUT_SECONDS, os.killpg, (process.pid, signal.SIGKILL))
    timer.start()
    try:
        with check.log.open("w") as log:
            for line in process.stdout:
                clean = ANSI.sub("", line)
                log.write(clean)
                log.flush()
                yield clean.rstrip("\n")
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)
        raise
    finally:
        timer.cancel()
        code = process.wait()
    yield f"exit code {code}"


def perform(check: Check, clock: Clock) -> None:
    clock.say(f"{check.name} …")
    began = step_began = time.monotonic()
    line = ""
    over = False
    for line in lines_of(check):
        over = over or line == "DETAILS"  # Molecule's summary repeats every step
        step = None if over else STEP.search(line)
        if step and step["what"] == "Executing":
            step_began = time.monotonic()
        elif step and step["result"] not in {"Missing", "Disabled"}:
            good = step["result"] == "Successful"
            if step["step"] in COUNTED_STEPS:
                check.steps[step["step"]] = good and check.steps.get(step["step"], True)
            seconds = time.monotonic() - step_began
            clock.say(f"    {SHOWN.get(step['step'], step['step']):12} {'ok' if good else 'FAILED'} ({seconds:.0f} s)")
    count(check, succeeded=line == "exit code 0")
    seconds = time.monotonic() - began
    clock.say(f"{check.name}: {check.passed} passed, {check.failed} failed ({seconds:.0f} s)")
    if check.failed:
        show_end_of(check)


def count(check: Check, *, succeeded: bool) -> None:
    """Adds up tests and steps. The exit code has the last word."""
    tally = check.log.with_suffix(".tally")
    tests = [line.split() for line in tally.read_text().splitlines()] if tally.exists() else []
    if not tests and not check.steps and succeeded:
        check.steps["command"] = True
    check.passed = sum(int(passed) for passed, _ in tests) + sum(check.steps.values())
    check.failed = sum(int(failed) for _, failed in tests)
    check.failed += sum(not good for good in check.steps.values())
    if not succeeded and not check.failed:
        check.failed = 1


def show_end_of(check: Check) -> None:
    lines = check.log.read_text().splitlines()[-LINES_SHOWN_OF_A_FAILURE:]
    print("\n".join(f"    | {line}" for line in lines))
    print(f"    (all of it: {check.log.relative_to(ROOT)})", flush=True)


# ------------------------------------------------------------------------------- leftovers


def servers_of(checks: list[Check]) -> list[str]:
    """Servers that these scenarios boot. Others, as the demo's, are not ours to remove."""
    names = []
    for check in checks:
        path = ROOT / "molecule" / check.name.removeprefix("molecule-") / "molecule.yml"
        if path.exists():
            names += [platform["name"] for platform in yaml.safe_load(path.read_text())["platforms"]]
    return names


def remove_leftovers(checks: list[Check], clock: Clock) -> None:
    names = servers_of(checks)
    if not names:
        return
    done = subprocess.run([*SERVERS, "down", *names], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        clock.say(f"Leftovers of an earlier run could not be removed: {done.stderr.strip()}")


def main() -> int:
    checks = chosen(sys.argv[1:])
    LOGS.mkdir(parents=True, exist_ok=True)
    clock = Clock()
    with (LOGS / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("suite.py: the suite is running in this checkout already.")
        remove_leftovers(checks, clock)
        try:
            for check in checks:
                perform(check, clock)
        finally:
            remove_leftovers(checks, clock)
    for check in checks:
        if check.failed:
            clock.say(f"failed: {check.name} ({check.failed})")
            # Once more, and short: of a long run often the last lines are all that is kept.
            lines = [
                line for line in check.log.read_text().splitlines() if line.startswith(("FAILED ", "ERROR ", "E  "))
            ]
            print("\n".join(f"    | {line}" for line in lines[-LINES_REPEATED:]))
    failed = sum(check.failed for check in checks)
    clock.say("done")
    print(f"{sum(check.passed for check in checks)} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
