"""What wrk says, and what several rounds of it come to."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
FAILURES = r"Non-2xx or 3xx responses: (\d+)|Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)"


@dataclass(frozen=True)
class Sample:
    """One measurement: requests a second, milliseconds, microseconds of CPU for each request by tier, failed requests."""

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: dict[str, float] = field(default_factory=dict)
    failures: int = 0
    sessions: float | None = None  # that PostgreSQL began for a thousand requests


def milliseconds(text: str) -> float:
    """Return a time as wrk writes it: 1.23ms, 870.00us, 1.02s."""
    match = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text)
    if match is None:
        raise ValueError(f"{text!r} is not a time as wrk writes it.")
    return float(match[1]) * UNITS_MS[match[2]]


def wrk(said: str) -> tuple[int, Sample]:
    """Read what wrk printed (--latency): how many requests, and the sample without the CPU. Raises ValueError."""
    requests = re.search(r"(\d+) requests in", said)
    rate = re.search(r"Requests/sec: +([\d.]+)", said)
    times = dict(re.findall(r"^ +(50|99)% +(\S+) *$", said, re.MULTILINE))
    if requests is None or rate is None or len(times) != 2:
        raise ValueError(f"wrk said nothing that can be read: {said!r}")
    failures = sum(int(number) for found in re.findall(FAILURES, said) for number in found if number)
    return int(requests[1]), Sample(
        float(rate[1]), milliseconds(times["50"]), milliseconds(times["99"]), failures=failures
    )


def sample(found: Mapping[str, Any]) -> Sample:
    """Return the sample of what the agent, or a command in wrk's place, printed."""
    if "wrk" in found:
        requests, said = wrk(found["wrk"])
    else:
        requests, said = found["requests"], Sample(found["requests"] / found["seconds"], 0, 0)
    cpu = {tier: used / max(requests, 1) for tier, used in found["cpu_us"].items()}
    sessions = found["sessions"] * 1000 / max(requests, 1) if "sessions" in found else None
    return replace(said, cpu_us=cpu, sessions=sessions)


@dataclass(frozen=True)
class Summary(Sample):
    """Several samples of one side: their medians, the range of the rate, and all failures."""

    lowest: float = 0
    highest: float = 0


def summary(samples: Sequence[Sample]) -> Summary:
    """Return the medians of one side's samples."""
    rates = [each.rate for each in samples]
    sessions = [each.sessions for each in samples if each.sessions is not None]
    return Summary(
        rate=statistics.median(rates),
        p50_ms=statistics.median(each.p50_ms for each in samples),
        p99_ms=statistics.median(each.p99_ms for each in samples),
        cpu_us={tier: statistics.median(each.cpu_us[tier] for each in samples) for tier in samples[0].cpu_us},
        failures=sum(each.failures for each in samples),
        sessions=statistics.median(sessions) if sessions else None,
        lowest=min(rates),
        highest=max(rates),
    )
