"""All checks, several at a time: linters, fast tests, throwaway servers, Molecule scenarios.

    suite                 everything
    suite lint fast       parts: lint, fast, scenarios, servers
    suite nginx app       single scenarios by name
    suite --changed BASE  what a change since a revision can touch; without BASE, since the last commit on main

SLIPWAY_LANES says how many run at a time; without it, one more than there are cores: a scenario waits for much of its time.

Prints a line as each check begins and ends, with the time since the start. In .cache/suite/ lie the whole output of each
(<check>.log) and its JUnit files (<check>/*.xml). The last line is `N passed, N failed`: each linter counts 1, each test
counts 1, and so do a scenario's dry run, converge and idempotence.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import sys
import threading
import time

from changes import checks_for
from checks import Check, chosen
from results import Result, shortened
from running import LOGS, Lanes, end_leftovers, payloads, remove_servers

LONGEST = 10
FAILURES_SHOWN = 8


class Clock:
    """Says things with the time since its making in front; one at a time."""

    def __init__(self) -> None:
        self._start, self._one = time.monotonic(), threading.Lock()

    def say(self, text: str) -> None:
        """Print a line."""
        seconds = int(time.monotonic() - self._start)
        with self._one:
            print(f"[{seconds // 60:3d}:{seconds % 60:02d}] {text}", flush=True)


def lanes() -> int:
    """Return how many checks run at a time."""
    given = os.environ.get("SLIPWAY_LANES")
    if given and not given.isdecimal():
        sys.exit(f"suite: SLIPWAY_LANES={given!r} is not a number of checks to run at a time, such as 2.")
    return max(1, int(given) if given else (os.cpu_count() or 1) + 1)


def show_longest(results: dict[str, Result]) -> None:
    """Print what took the longest, and its share of the work."""
    whole = sum(result.seconds for result in results.values()) or 1
    print(f"\nThe longest checks, and their share of {whole:.0f} s of work:")
    for name, result in sorted(results.items(), key=lambda item: -item[1].seconds)[:LONGEST]:
        print(f"    {name:14} {result.seconds:5.0f} s {100 * result.seconds / whole:3.0f} %")


def show_failures(results: dict[str, Result]) -> None:
    """Print what failed: its name, what was expected, the server's last log lines."""
    failures = [(name, case) for name, result in results.items() for case in result.failures]
    for name, case in failures[:FAILURES_SHOWN]:
        print(f"\nFAILED {name}: {case.name}")
        for text in (case.reason, case.log):
            if text:
                print("\n".join(f"    | {shortened(line)}" for line in text.splitlines()))
        print(f"    all of it: {(LOGS / f'{name}.log').relative_to(LOGS.parents[1])}")
    for name, case in failures[FAILURES_SHOWN:]:
        print(f"FAILED {name}: {case.name}")


def interrupted(*_: object) -> None:
    """Leave the work, and tidy up."""
    raise KeyboardInterrupt


def run(checks: list[Check]) -> int:
    """Run checks in lanes; return the exit code."""
    clock = Clock()
    end_leftovers()
    remove_servers(checks, clock.say)
    for old in {*payloads().parent.glob("*"), *LOGS.glob("*/")} - {payloads()}:
        shutil.rmtree(old)
    for log in LOGS.glob("*.log"):
        log.unlink()
    work = Lanes(checks, lanes(), clock.say)
    for number in (signal.SIGINT, signal.SIGTERM):  # the first is ignored by what a shell starts in the background
        signal.signal(number, interrupted)
    try:
        work.run()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):  # what was begun is tidied up
            signal.signal(number, signal.SIG_IGN)
        work.end()
        remove_servers(checks, clock.say)
    show_longest(work.results)
    show_failures(work.results)
    passed = sum(result.passed for result in work.results.values())
    failed = sum(len(result.failures) for result in work.results.values())
    clock.say("done")
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


def main() -> int:
    """Run what the arguments name."""
    words = sys.argv[1:]
    checks = checks_for(*words[1:2]) if words[:1] == ["--changed"] else chosen(words)
    LOGS.mkdir(parents=True, exist_ok=True)
    with (LOGS / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("suite: the suite is running in this checkout already.")
        try:
            return run(checks)
        except KeyboardInterrupt:
            sys.exit("suite: interrupted.")


if __name__ == "__main__":
    sys.exit(main())
