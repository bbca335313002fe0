"""cron's five fields, as ``schedule`` in ``[tool.handrail.processes.<name>]`` takes them.

The meaning is that of Vixie's and Debian's cron, with one clock: UTC, so that no hour comes twice or never and all
hosts agree. What is peculiar there is peculiar here: where day of month *and* day of week are restricted, either is
enough; a field that begins with ``*`` counts as not restricted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SHORTHANDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 7, WEEKDAYS),
)
_ITEM = re.compile(r"(?:(?P<all>\*)|(?P<first>[0-9a-z]+)(?:-(?P<last>[0-9a-z]+))?)(?:/(?P<step>[0-9]+))?")
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True)
class Schedule:
    """When a job runs, in UTC; each field holds what it matches, ascending."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    """0 is Sunday."""
    either_day: bool
    """Whether a matching day of month or a matching day of week is enough; otherwise both must match."""


def parse_cron(text: str) -> Schedule:
    """Return what ``text`` means.

    Raises:
        ValueError: one sentence that names the field, what it holds and what it may hold.
    """
    words = SHORTHANDS.get(text.strip().lower(), text).lower().split()
    if words and words[0].startswith("@"):
        if words[0] == "@reboot":
            raise ValueError(
                "@reboot is no time; a process without a schedule starts with the host and goes on running"
            )
        raise ValueError(f"{words[0]} is unknown, expected one of {', '.join(SHORTHANDS)}")
    if len(words) != 5:
        form = "expected five: minute, hour, day of month, month, day of week"
        hint = "; cron knows no seconds" if len(words) == 6 else ""
        raise ValueError(f"it has {len(words)} {'field' if len(words) == 1 else 'fields'}, {form}{hint}")
    parts = [_field(word, *field) for word, field in zip(words, _FIELDS, strict=True)]
    minutes, hours, days, months, weekdays = parts
    schedule = Schedule(
        minutes=minutes,
        hours=hours,
        days=days,
        months=months,
        weekdays=tuple(sorted({day % 7 for day in weekdays})),
        either_day=not words[2].startswith("*") and not words[4].startswith("*"),
    )
    if not schedule.either_day and min(schedule.days) > max(_DAYS[month - 1] for month in schedule.months):
        raise ValueError("it never comes: no such month has such a day")
    return schedule


def _field(text: str, name: str, low: int, high: int, names: tuple[str, ...]) -> tuple[int, ...]:
    found: set[int] = set()
    for item in text.split(","):
        match = _ITEM.fullmatch(item)
        form = f"{low} to {high}" + (f" or {names[0]} to {names[-1]}" if names else "")
        if match is None:
            raise ValueError(f"{name} is {item!r}, expected *, {form}, with - for a range and / for a step")
        if match["all"]:
            # 7 is Sunday once more.
            first, last = low, 6 if high == 7 else high
        else:
            first = _number(match["first"], name, low, high, names, form)
            last = _number(match["last"], name, low, high, names, form) if match["last"] else first
            if match["last"] == "sun":
                last = 7
        if match["step"] and not match["all"] and not match["last"]:
            raise ValueError(f"{name} is {item!r}: a step needs a range, such as {first}-{high}/{match['step']}")
        if last < first:
            raise ValueError(f"{name} is {item!r}: the range ends before it begins; write {first}-{high},{low}-{last}")
        step = int(match["step"] or 1)
        if step < 1:
            raise ValueError(f"{name} is {item!r}: a step is at least 1")
        found.update(range(first, last + 1, step))
    return tuple(sorted(found))


def _number(text: str, name: str, low: int, high: int, names: tuple[str, ...], form: str) -> int:
    if text in names:
        return names.index(text) + (1 if low == 1 else 0)
    if not text.isdigit() or not low <= int(text) <= high:
        raise ValueError(f"{name} is {text!r}, expected {form}")
    return int(text)
