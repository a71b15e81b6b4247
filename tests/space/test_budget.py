"""Bounds on counts: what is admitted, and by how much a bound is exceeded."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsearch.reading.validation import validate
from archsearch.reading.yaml import read
from archsearch.space.budget import Budget


@dataclass
class Counts:
    flops: int = 0
    params: int = 0
    macs: int = 0
    activations: int = 0


def budget(text: str) -> Budget:
    return validate(Budget, read(text))


def test_both_ends_are_within() -> None:
    bounds = budget("{flops: {between: [38M, 42M]}, params: {max: 1M}}")
    assert bounds.admits(Counts(flops=38_000_000, params=1_000_000))
    assert bounds.admits(Counts(flops=42_000_000))
    assert not bounds.admits(Counts(flops=42_000_001))
    assert not bounds.admits(Counts(flops=37_999_999))
    assert not bounds.admits(Counts(flops=40_000_000, params=1_000_001))


def test_violations_are_relative_and_always_the_same_names() -> None:
    bounds = budget("{flops: {min: 100, max: 200}, activations: {max: 10}}")
    assert bounds.violations(Counts(flops=300, activations=5)) == {
        "flops.min": -2.0,
        "flops.max": 0.5,
        "activations.max": -0.5,
    }
    assert list(bounds.violations(Counts())) == ["flops.min", "flops.max", "activations.max"]
    assert bounds.violations(Counts())["flops.min"] == 1.0


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(1, 10**9))
def test_it_admits_exactly_what_lies_between(flops: int, low: int, high: int) -> None:
    if low <= high:
        bounds = Budget.model_validate({"flops": {"min": low, "max": high}})
        assert bounds.admits(Counts(flops=flops)) == (low <= flops <= high)


def test_no_budget_admits_everything() -> None:
    assert Budget.model_validate({}).admits(Counts(flops=10**15))
    assert str(Budget.model_validate({})) == "no budget"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{flops: {max: 40M}, params: {max: 1M}}", "flops <= 40M, params <= 1M"),
        ("{macs: {between: [1.5k, 2k]}}", "1.5k <= macs <= 2k"),
        ("{params: {min: 7}}", "7 <= params"),
    ],
)
def test_it_says_and_writes_itself(text: str, said: str) -> None:
    bounds = budget(text)
    assert str(bounds) == said
    assert Budget.model_validate(bounds.to_data()) == bounds
