"""What a network may cost: bounds on its exact counts, known before anything is built."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Protocol, Self

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from archsearch.architecture.spec import Words
from archsearch.reading.allowed import Says
from archsearch.reading.numbers import COUNT_ALLOWED, COUNT_PATTERN, format_count, parse_count


class Costs(Protocol):
    """Anything that has the four counts, as archsearch.architecture.cost.Cost has."""

    @property
    def flops(self) -> int: ...  # noqa: D102
    @property
    def params(self) -> int: ...  # noqa: D102
    @property
    def macs(self) -> int: ...  # noqa: D102
    @property
    def activations(self) -> int: ...  # noqa: D102


Count = Annotated[
    int,
    BeforeValidator(parse_count),
    Says(COUNT_ALLOWED),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": COUNT_PATTERN}]}),
    PlainSerializer(format_count, return_type=str, when_used="json"),
]
Window = Annotated[
    tuple[Count, Count],
    BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value),
    Says("a list of two counts [low, high]"),
]


class Bound(Words):
    """The range that one count must lie in; both ends are within it."""

    min: Count | None = Field(None, description="At least this many.")
    max: Count | None = Field(None, description="At most this many.")
    between: Window | None = Field(None, description="A window [low, high]: min and max in one.")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.between is not None and (self.min is not None or self.max is not None):
            raise ValueError("between together with min or max; allowed: between, or min and max")
        low, high = self.low, self.high
        if low is None and high is None:
            raise ValueError("a bound without an end; allowed: max: 40M, min: 1M, or between: [38M, 42M]")
        if high == 0:
            raise ValueError("an upper end of 0; allowed: an upper end of at least 1")
        if low is not None and high is not None and low > high:
            raise ValueError(
                f"the lowest count {format_count(low)} is above the highest {format_count(high)}; "
                "allowed: lowest <= highest"
            )
        return self

    @property
    def low(self) -> int | None:
        """The lower end."""
        return self.between[0] if self.between else self.min

    @property
    def high(self) -> int | None:
        """The upper end."""
        return self.between[1] if self.between else self.max


class Budget(Words):
    """Bounds on a network's counts; a count that is not named is free."""

    flops: Bound | None = Field(
        None, description="fvcore's total in eval mode: one multiply-add = 1, norms and pooling included."
    )
    params: Bound | None = Field(None, description="Parameters.")
    macs: Bound | None = Field(
        None, description="Multiply-adds of convolutions and linear layers: the figure that papers quote."
    )
    activations: Bound | None = Field(
        None, description="Elements that convolutions and linear layers emit (RegNet, Radosavovic 2020)."
    )

    def admits(self, cost: Costs) -> bool:
        """Whether a network of this cost keeps every bound."""
        return all(over <= 0 for over in self.violations(cost).values())

    def violations(self, cost: Costs) -> dict[str, float]:
        """By which share each bound is exceeded: cost / high - 1, or 1 - cost / low; at most 0 where it is kept.

        The same names in the same order for every cost: flops.min, flops.max, ...
        """
        found: dict[str, float] = {}
        for name, bound in self.bounds():
            count = getattr(cost, name)
            if bound.low:
                found[f"{name}.min"] = 1 - count / bound.low
            if bound.high is not None:
                found[f"{name}.max"] = count / bound.high - 1
        return found

    def bounds(self) -> Iterator[tuple[str, Bound]]:
        """The counts that are bounded, with their bounds."""
        for name in type(self).model_fields:
            if (bound := getattr(self, name)) is not None:
                yield name, bound

    def to_data(self) -> dict[str, Any]:
        """As a file writes it."""
        return self.model_dump(mode="json", exclude_none=True)

    def __str__(self) -> str:
        parts = []
        for name, bound in self.bounds():
            low = f"{format_count(bound.low)} <= " if bound.low else ""
            high = f" <= {format_count(bound.high)}" if bound.high is not None else ""
            parts.append(f"{low}{name}{high}")
        return ", ".join(parts) or "no budget"
