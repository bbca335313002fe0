from __future__ import annotations

import re
import shutil
import subprocess
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from handrail.config.cron import parse_cron
from handrail.runtime import scheduler
from handrail.runtime.systemd import calendar

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "events"),
    [
        ("* * * * *", ["*-*-* *:*:00 UTC"]),
        ("*/5 * * * *", ["*-*-* *:00/5:00 UTC"]),
        ("7,9 3 * * *", ["*-*-* 03:07,09:00 UTC"]),
        ("0 9-17/4 * jan-mar mon-fri", ["Mon,Tue,Wed,Thu,Fri *-01,02,03-* 09,13,17:00:00 UTC"]),
        ("0 0 * * 7", ["Sun *-*-* 00:00:00 UTC"]),
        ("0 0 * * sat-sun", ["Sun,Sat *-*-* 00:00:00 UTC"]),
        ("@daily", ["*-*-* 00:00:00 UTC"]),
        ("@WEEKLY", ["Sun *-*-* 00:00:00 UTC"]),
        ("@yearly", ["*-01-01 00:00:00 UTC"]),
        # Both restricted: either is enough.
        ("0 0 13 * fri", ["*-*-13 00:00:00 UTC", "Fri *-*-* 00:00:00 UTC"]),
        ("0 0 1-31 * fri", ["*-*-* 00:00:00 UTC"]),
        # A field that begins with a star is not restricted: both must match.
        ("0 0 */2 * fri", ["Fri *-*-01/2 00:00:00 UTC"]),
    ],
)
def test_crons_fields_become_calendar_events(text: str, events: list[str]) -> None:
    assert calendar(parse_cron(text)) == events


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it has 0 fields, expected five"),
        ("0 * * *", "it has 4 fields, expected five: minute, hour"),
        ("0 0 * * * *", "cron knows no seconds"),
        ("60 * * * *", "minute is '60', expected 0 to 59"),
        ("0 24 * * *", "hour is '24', expected 0 to 23"),
        ("0 0 0 * *", "day of month is '0', expected 1 to 31"),
        ("0 0 * june *", "month is 'june', expected 1 to 12 or jan to dec"),
        ("0 0 * * 8", "day of week is '8', expected 0 to 7 or sun to sat"),
        ("5/15 * * * *", "a step needs a range, such as 5-59/15"),
        ("*/0 * * * *", "a step is at least 1"),
        ("0 22-2 * * *", "write 22-23,0-2"),
        ("0 0 L * *", "day of month is 'l', expected 1 to 31"),
        ("0 0 * * 5#2", "day of week is '5#2', expected *, 0 to 7 or sun to sat"),
        ("0 0 30 2 *", "it never comes"),
        ("@reboot", "@reboot is no time"),
        ("@dialy", "@dialy is unknown, expected one of @hourly"),
    ],
)
def test_a_schedule_that_cannot_be_meant_is_one_sentence(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parse_cron(text)


SCHEDULES = (
    "*/5 * * * *", "0 9-17/4 * jan-mar mon-fri", "0 0 13 * fri", "0 0 */2 * fri", "59 23 31 12 *", "0 12 29 2 *",
    "7,9 3 1-7 */3 *", "@weekly", "30 6 10 4 sun",
)  # fmt: skip


def as_data(text: str) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(parse_cron(text))


@pytest.mark.parametrize("text", SCHEDULES)
def test_the_scheduler_finds_the_same_times_as_going_through_all_minutes(text: str) -> None:
    schedule = as_data(text)
    moment = datetime(2027, 12, 30, 23, 57, 11, tzinfo=timezone.utc)
    after = moment.timestamp()
    found = scheduler.following(schedule, after)
    assert found is not None
    assert found > after
    day = datetime.fromtimestamp(found, timezone.utc).date()
    walk = moment.replace(second=0)
    while walk.timestamp() < found:
        walk += timedelta(minutes=1)
        if walk.date() != day and not scheduler.matches_day(schedule, walk):
            walk = walk.replace(hour=23, minute=59)
            continue
        hit = (
            walk.minute in schedule["minutes"]
            and walk.hour in schedule["hours"]
            and scheduler.matches_day(schedule, walk)
        )
        assert hit == (walk.timestamp() == found), walk


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("text", SCHEDULES)
def test_systemd_means_the_same_times_by_them(text: str) -> None:
    schedule = as_data(text)
    base = datetime(2027, 12, 30, 23, 57, 0, tzinfo=timezone.utc)
    wanted, moment = [], base.timestamp()
    for _ in range(4):
        moment = scheduler.following(schedule, moment) or 0
        wanted.append(moment)
    done = subprocess.run(
        ["systemd-analyze", "calendar", "--iterations=4", f"--base-time={base:%Y-%m-%d %H:%M:%S UTC}",
         *calendar(parse_cron(text))],
        capture_output=True, text=True, check=True, env={"TZ": "UTC", "LC_ALL": "C", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    stamps = re.findall(r"(?:Next elapse|Iter\. #\d+): \w{3} (\S+ \S+) UTC", done.stdout)
    found = {datetime.fromisoformat(f"{stamp}+00:00").timestamp() for stamp in stamps}
    assert sorted(found)[:4] == wanted, done.stdout
