"""Spans of time as people write them."""

import pytest

from archsearch.reading.durations import format_duration, parse_duration, spell_duration
from archsearch.reading.errors import InputError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30m", 1800),
        ("1h30m", 5400),
        ("90s", 90),
        ("2d", 172_800),
        ("1d 2h 3m 4s", 93_784),
        (45, 45),
        (1.5, 1.5),
        (10**9, 1e9),
    ],
)
def test_a_time_is_read(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "value", ["", "m", "30", "30M", "1.5h", "-3m", "3m1h", "0s", 0, -1, True, None, [1], "9" * 30, 10**9 + 1, 0.9]
)
def test_anything_else_is_refused_with_what_is_allowed(value: object) -> None:
    with pytest.raises(InputError, match="30m, 1h30m"):
        parse_duration(value)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("30 min", "did you mean 30m?"),
        ("3 minutes", "did you mean 3m?"),
        ("2hours", "did you mean 2h?"),
        ("30M", "did you mean 30m?"),
        ("2 H", "did you mean 2h?"),
        ("30MM", ""),
        (0, ""),
    ],
)
def test_common_slips_get_a_hint(value: object, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_duration(value)
    assert caught.value.problems[0].hint == hint


@pytest.mark.parametrize("seconds", [1, 59, 60, 61, 3600, 5400, 86_399, 86_400, 93_784])
def test_what_is_written_is_read_back(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (0.4, "0 s"), (27.36, "27 s"), (119.4, "119 s"), (119.6, "2 min"), (300, "5 min"),
        (59.4 * 60, "59 min"), (59.6 * 60, "1 h"), (80 * 60, "1 h 20 min"), (7200, "2 h"), (119.6 * 60, "2 h"),
        (47.9 * 3600, "47 h 54 min"), (48 * 3600, "2 days"), (76 * 3600, "3 days 4 h"), (1e9, "11574 days 2 h"),
    ],
)  # fmt: skip
def test_a_person_reads_a_duration_as_people_say_it(seconds: float, text: str) -> None:
    assert spell_duration(seconds) == text
