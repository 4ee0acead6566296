"""What a check came to: read from the JUnit files that pytest writes, and from Molecule's output."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from xml.etree import ElementTree

# `INFO     [nginx > converge] Executed: Successful`
STEP = re.compile(r"\[[\w-]+ > (?P<step>\w+)\] (?P<what>Executing$|Executed: (?P<result>\w+))")
# Steps of Molecule's that are proofs themselves; the others only lead to one.
COUNTED_STEPS = ("check", "converge", "idempotence")
LINES_OF_A_REASON = 14
LINES_OF_A_LOG = 10  # of each server; no test asks more than two
LONGEST_LINE = 400


@dataclasses.dataclass
class Case:
    """One thing that was asked: a test, a step of a scenario, a linter; reason and log where it failed."""

    name: str
    seconds: float = 0.0
    passed: bool = True
    reason: str = ""
    log: str = ""


@dataclasses.dataclass
class Result:
    """What a check came to; steps: seconds of each of Molecule's, in order."""

    seconds: float = 0.0
    cases: list[Case] = dataclasses.field(default_factory=list)
    steps: list[tuple[str, float]] = dataclasses.field(default_factory=list)

    @property
    def failures(self) -> list[Case]:
        """What failed."""
        return [case for case in self.cases if not case.passed]

    @property
    def passed(self) -> int:
        """How many passed."""
        return len(self.cases) - len(self.failures)


def tests_in(path: Path) -> list[Case]:
    """Return the tests of one run of pytest; skipped ones are left out. A set-up and a test that fail are one failure."""
    cases: dict[str, Case] = {}
    for element in ElementTree.parse(path).iter("testcase"):  # noqa: S314 - the suite's own file
        if element.find("skipped") is not None:
            continue
        name = f"{element.get('classname', '').replace('.', '/')}::{element.get('name')}"
        case = cases.setdefault(name, Case(name))
        case.seconds += float(element.get("time") or 0)
        problem = next((found for found in map(element.find, ("failure", "error")) if found is not None), None)
        if problem is not None:
            case.passed = False
            case.reason = reason_of(problem.text or problem.get("message") or "")
            case.log = tail(element.findtext("system-out") or "", 2 * LINES_OF_A_LOG)
    return list(cases.values())


def reason_of(traceback: str) -> str:
    """Return what was expected and what came: the lines that pytest marks, else the last ones."""
    lines = traceback.strip().splitlines()
    marked = [line for line in lines if line.startswith(("E ", ">"))]
    return "\n".join([*marked[: LINES_OF_A_REASON - 1], lines[-1]] if marked else lines[-LINES_OF_A_REASON:])


def failed_tasks(output: list[str]) -> str:
    """Return what Ansible said of tasks that failed, else the last lines."""
    said: list[str] = []
    lines_left = 0
    for line in output:
        if line.startswith(("fatal:", "failed:", "[ERROR]:", "CRITICAL")):
            lines_left = LINES_OF_A_REASON
        elif line.startswith("PLAY RECAP"):
            lines_left = 0
        if lines_left:
            said.append(line)
            lines_left -= 1
    return "\n".join((said or output)[-2 * LINES_OF_A_REASON :])


def last_lines_of_servers(folder: Path) -> str:
    """Return the last lines of each server's log, as they were kept when the server was removed."""
    logs = [f"{path.stem}:\n{tail(path.read_text(), LINES_OF_A_LOG)}" for path in sorted(folder.glob("*.log"))]
    return "\n".join(logs)


def tail(text: str, lines: int) -> str:
    """Return the last lines of a text, without pytest's headings."""
    kept = [
        line for line in text.strip().splitlines() if line and not re.fullmatch(r"-+ Captured \w+ -+", line.strip())
    ]
    return "\n".join(kept[-lines:])


def shortened(line: str) -> str:
    """Return a line, without its middle where it is longer than one can read: a play's whole output may be in it."""
    half = LONGEST_LINE // 2
    return line if len(line) <= LONGEST_LINE else f"{line[:half]} [...] {line[-half:]}"


def write_junit(path: Path, check: str, cases: list[Case]) -> None:
    """Write the cases that pytest does not know of, in its form."""
    suite = ElementTree.Element("testsuite", name=check, tests=str(len(cases)))
    for case in cases:
        element = ElementTree.SubElement(suite, "testcase", classname=check, name=case.name, time=f"{case.seconds:.3f}")
        if not case.passed:
            ElementTree.SubElement(element, "failure", message=f"{case.name} failed").text = case.reason
            ElementTree.SubElement(element, "system-out").text = case.log
    ElementTree.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)
