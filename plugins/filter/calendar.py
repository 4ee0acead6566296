"""Calendar events of systemd: as lines of cron, as far as cron supports them, and those that systemd does not read itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

# systemd.time(7), "Calendar Events".
WORDS = {
    "minutely": "*-*-* *:*:00",
    "hourly": "*-*-* *:00:00",
    "daily": "*-*-* 00:00:00",
    "weekly": "Mon *-*-* 00:00:00",
    "monthly": "*-*-01 00:00:00",
    "quarterly": "*-01,04,07,10-01 00:00:00",
    "semiannually": "*-01,07-01 00:00:00",
    "yearly": "*-01-01 00:00:00",
    "annually": "*-01-01 00:00:00",
}
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
EVENT = re.compile(
    r"(?:(?P<weekday>[A-Za-z][A-Za-z.,]*)\s*)??"
    r"(?:(?P<date>(?:\*-)?[\d*./,]+-[\d*./,]+)\s+)?"
    r"(?P<hour>[\d*./,]+):(?P<minute>[\d*./,]+)(?::(?P<second>\d+))?"
)


def field(text: str, first: int) -> str:
    """Return one field for cron: `1..5` is 1-5, `0/15` every 15 from 0 on. Raises ValueError."""
    parts = []
    for part in text.split(","):
        found = re.fullmatch(r"(\*|\d+)(?:\.\.(\d+))?(?:/(\d+))?", part)
        if not found or (found[1] == "*" and found[2]):
            raise ValueError(f"{part!r} is not understood")
        low, high, step = found.groups()
        if low == "*" or (step and not high and int(low) == first):
            span = "*"
        else:
            span = str(int(low)) + (f"-{int(high)}" if high else "")
            if step and not high:
                raise ValueError(f"{part!r}: cron repeats from {first} on only, so list each value")
        parts.append(span + (f"/{int(step)}" if step else ""))
    return ",".join(parts)


def weekdays(text: str) -> str:
    """Return the days of the week for cron: `Mon..Fri,Sun` is 1-5,0. Raises ValueError."""
    parts = []
    for part in text.lower().rstrip(",").split(","):
        days = [DAYS.index(day[:3]) for day in part.split("..")]
        if len(days) > 2:
            raise ValueError(f"{part!r} is not understood")
        if len(days) == 2 and days[1] == 0:
            days[1] = 7  # cron's other name for Sunday, as a range must not go backwards
        parts.append("-".join(map(str, days)))
    return ",".join(parts)


def cron(event: str) -> str:
    """Return a calendar event as the five fields of crontab(5). Raises AnsibleFilterError where cron cannot say it."""
    try:
        found = EVENT.fullmatch(WORDS.get(event.strip(), event.strip()))
        if not found:
            raise ValueError("only weekdays, dates without a year, hours and minutes are possible")
        if int(found["second"] or 0):
            raise ValueError("cron has no seconds")
        month, day = (found["date"] or "*-*-*").removeprefix("*-").split("-")
        weekday = weekdays(found["weekday"]) if found["weekday"] else "*"
        if weekday != "*" and day != "*":
            raise ValueError("cron would run on a day of the month or of the week, not where both fit")
        fields = field(found["minute"], 0), field(found["hour"], 0), field(day, 1), field(month, 1)
    except ValueError as error:
        raise AnsibleFilterError(f"on_calendar {event!r}: {error}") from None
    return " ".join((*fields, weekday))


def cron_complaints(events: Iterable[str]) -> list[str]:
    """Return what is wrong with the events that cron cannot say."""
    complaints = []
    for event in events:
        try:
            cron(event)
        except AnsibleFilterError as error:
            complaints.append(str(error))
    return complaints


def misunderstood_timers(timers: Iterable[Mapping[str, str]], said: Iterable[str]) -> list[str]:
    """Return the timers that systemd does not understand, each in words. said: lines, of these `unreadable: <event>`."""
    events = {line.removeprefix("unreadable: ") for line in said if line.startswith("unreadable: ")}
    return [
        f"timer {timer['name']!r} has on_calendar {timer['on_calendar']!r}"
        for timer in timers
        if timer["on_calendar"] in events
    ]


class FilterModule:
    """The filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return them by name."""
        return {"cron": cron, "cron_complaints": cron_complaints, "misunderstood_timers": misunderstood_timers}
