"""Spans of time as files and options have them (30m, 1h30m, 90s), and as people read them (5 min, 1 h 20 min)."""

from __future__ import annotations

import math
import re

from archsearch.reading.errors import InputError, Problem

UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
DURATION_PATTERN = r"^(?=[0-9])([0-9]{1,4}d)?([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,9}s)?$"
DURATION_ALLOWED = "a time such as 90s, 30m, 1h30m, 8h, 2d, or whole seconds; at least a second"

_DURATION = re.compile(DURATION_PATTERN)


def parse_duration(value: object) -> float:
    """Seconds: "1h30m" -> 5400.0; a number is of seconds, one at least. Raises InputError for anything else."""
    seconds = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str) and (match := _DURATION.fullmatch(value.strip().replace(" ", ""))):
        seconds = float(sum(int(part[:-1]) * UNITS[part[-1]] for part in match.groups() if part))
    if 1 <= seconds <= 10**9:
        return seconds
    hint = ""
    if isinstance(value, str) and (spelled := re.fullmatch(r"([0-9]+) ?(min|minutes?|hours?|M|H)", value.strip())):
        hint = f"did you mean {spelled[1]}{spelled[2][0].lower()}?"
    raise InputError(Problem(message=f"the time {value!r:.40}", allowed=DURATION_ALLOWED, hint=hint))


def format_duration(seconds: float) -> str:
    """As `parse_duration` reads it back, to the nearest second: 5400 -> 1h30m."""
    remaining, text = round(seconds), ""
    for unit, size in UNITS.items():
        if remaining >= size:
            text += f"{remaining // size}{unit}"
            remaining %= size
    return text or "0s"


def spell_duration(seconds: float) -> str:
    """Seconds for a person to read, rounded: 27 s, 5 min, 1 h 20 min, 3 days 4 h. Seconds below two minutes, minutes
    below two days."""
    if (whole := round(seconds)) < 120:
        return f"{whole} s"
    if (minutes := round(seconds / 60)) < 60:
        return f"{minutes} min"
    large, small, units = (*divmod(minutes, 60), ("h", "min"))
    if large >= 48:
        large, small, units = (*divmod(round(seconds / 3600), 24), ("days", "h"))
    return f"{large} {units[0]}" + (f" {small} {units[1]}" if small else "")
