"""Calendar events of systemd, as Supervisor's timers have cron say them."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.flask.plugins.filter import calendar


@pytest.mark.parametrize(
    ("event", "line"),
    [
        ("daily", "0 0 * * *"),
        ("weekly", "0 0 * * 1"),
        ("quarterly", "0 0 1 1,4,7,10 *"),
        ("04:30", "30 4 * * *"),
        ("*:0/15", "*/15 * * * *"),
        ("*-*-* 04:00:00", "0 4 * * *"),
        ("*-*-01 00:10", "10 0 1 * *"),
        ("12-24 18:00", "0 18 24 12 *"),
        ("Mon..Fri 08:00", "0 8 * * 1-5"),
        ("Fri..Sun,Tue *:05", "5 * * * 5-7,2"),
        ("*-*-* 8..18/2:00", "0 8-18/2 * * *"),
    ],
)
def test_what_cron_can_say(event: str, line: str) -> None:
    assert calendar.cron(event) == line


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ("*:*:0/10", "only weekdays"),
        ("*:*:30", "no seconds"),
        ("Mon *-*-01 00:00", "cron would run on a day of the month or of the week"),
        ("2027-01-01 00:00", "only weekdays"),
        ("*:5/15", "'5/15': cron repeats from 0 on only, so list each value"),
        ("now and then", "only weekdays"),
    ],
)
def test_what_it_cannot_is_refused(event: str, reason: str) -> None:
    with pytest.raises(AnsibleFilterError, match=reason):
        calendar.cron(event)
    assert len(calendar.cron_complaints(["daily", event])) == 1
