"""Counts: 40M, 1.2G, 600k, exactly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch.reading.errors import InputError
from archsearch.reading.numbers import format_count, parse_count


@pytest.mark.parametrize(
    ("written", "count"),
    [
        ("40M", 40_000_000),
        ("1.2G", 1_200_000_000),
        ("600k", 600_000),
        ("600K", 600_000),
        ("41000000", 41_000_000),
        (41_000_000, 41_000_000),
        (4e7, 40_000_000),
        ("4.089184256G", 4_089_184_256),
        ("0.3 M", 300_000),
        ("2T", 2 * 10**12),
        ("1000000T", 10**18),
        (0, 0),
        (10**18, 10**18),
    ],
)
def test_a_count_is_exact(written: object, count: int) -> None:
    assert parse_count(written) == count


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("1.2345k", ""),
        ("-1M", ""),
        (-1, ""),
        (1.5, ""),
        (True, ""),
        (None, ""),
        ("", ""),
        ("M", ""),
        ("40MB", ""),
        ("1e6", ""),
        ([1], ""),
        ("9" * 19, ""),
        ("999999999T", ""),
        (10**18 + 1, ""),
        ("40m", "did you mean 40M?"),
        ("1.2B", "did you mean 1.2G?"),
        ("3b", "did you mean 3G?"),
        ("2g", "did you mean 2G?"),
        ("2t", "did you mean 2T?"),
        ("1,000", "write it as 1000"),
        ("1_000", "write it as 1000"),
    ],
)
def test_anything_else_is_refused_with_what_is_allowed(written: object, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_count(written)
    (problem,) = caught.value.problems
    assert "40M" in problem.allowed
    assert problem.hint == hint


@given(st.integers(0, 10**15))
def test_a_formatted_count_reads_back(count: int) -> None:
    assert parse_count(format_count(count)) == count


def test_a_round_count_is_short() -> None:
    assert [format_count(n) for n in (40_000_000, 1_200_000_000, 600_000, 812_345, 0, 1000, 999, 1234)] == [
        "40M",
        "1.2G",
        "600k",
        "812345",
        "0",
        "1k",
        "999",
        "1.234k",
    ]
