"""Tests of one value of a ledger's event, or of its `meta`. A test of a field is given its value, or ABSENT."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

Test = Callable[[Any], bool]
ABSENT = object()
LARGEST = 2.0**63  # of any number: more overflows somewhere
LONGEST_TIME = 1e11  # seconds: the year 5138


def is_count(value: Any) -> bool:
    """A whole number from 0 on, not out of range."""
    return type(value) is int and 0 <= value < 2**53


def is_number(value: Any) -> bool:
    """A finite number, not out of range."""
    return type(value) in (int, float) and -LARGEST <= value < LARGEST


def is_time(value: Any) -> bool:
    """Unix seconds, as SQLite's REAL."""
    return type(value) is float and 0 <= value < LONGEST_TIME


def is_text(value: Any) -> bool:
    """A text."""
    return type(value) is str


def is_metrics(value: Any) -> bool:
    """Metrics by name: numbers, or None for what was no number."""
    return type(value) is dict and all(v is None or is_number(v) for v in value.values())


def matches(pattern: str, value: Any) -> bool:
    """A text that the whole pattern matches."""
    return type(value) is str and re.fullmatch(pattern, value) is not None


def is_bool(value: Any) -> bool:
    """True or False."""
    return type(value) is bool


def is_choices(value: Any) -> bool:
    """Choices by their parameters' names."""
    return type(value) is dict and all(v is None or type(v) in (str, bool) or is_number(v) for v in value.values())


def is_object(value: Any) -> bool:
    """A mapping."""
    return type(value) is dict


def list_of(test: Test, value: Any) -> bool:
    """A list, each of whose values passes the test."""
    return type(value) is list and all(map(test, value))


def is_row(tests: Sequence[Test], value: Any) -> bool:
    """A list of as many values as there are tests, each of which passes its own."""
    return type(value) is list and len(value) == len(tests) and all(t(v) for t, v in zip(tests, value, strict=True))


def optional(test: Test, value: Any) -> bool:
    """Nothing, null, or what passes the test."""
    return value is None or value is ABSENT or test(value)


is_digest = partial(matches, "[0-9a-f]{16}")
is_sha256 = partial(matches, "[0-9a-f]{64}")
