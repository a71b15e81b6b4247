"""What a network may cost: bounds on exact counts, known before anything is built, on the memory that training is
predicted to take, and on the latency that is measured before a trial starts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from archsearch.architecture.quantities import Cost
from archsearch.reading.allowed import Allowed
from archsearch.reading.errors import InputError, Problem
from archsearch.reading.model import StrictModel
from archsearch.reading.numbers import COUNT_ALLOWED, COUNT_PATTERN, format_count, parse_count
from archsearch.space.domains import as_tuple

Count = Annotated[
    int,
    BeforeValidator(parse_count),
    Allowed(COUNT_ALLOWED),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": COUNT_PATTERN}]}),
    PlainSerializer(format_count, return_type=str, when_used="json"),
]
Window = Annotated[
    tuple[Count, Count],
    BeforeValidator(as_tuple),
    Allowed("a list of two counts [low, high]"),
]


_TIME = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(us|ms|s)")
TIME_ALLOWED = "milliseconds as a number, or a time such as 500us, 2.5ms, 1s"


def parse_milliseconds(value: object) -> float:
    """A number is of milliseconds: "500us" -> 0.5. Raises InputError for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 10**9:
        return float(value)
    if isinstance(value, str) and (match := _TIME.fullmatch(value.strip())):
        return float(match[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[match[2]]
    raise InputError(Problem(message=f"the time {value!r:.40}", allowed=TIME_ALLOWED))


Milliseconds = Annotated[
    float,
    BeforeValidator(parse_milliseconds),
    Allowed(TIME_ALLOWED),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": f"^{_TIME.pattern}$"}]}),
]
TimeWindow = Annotated[
    tuple[Milliseconds, Milliseconds],
    BeforeValidator(as_tuple),
    Allowed("a list of two times [low, high]"),
]


class Bound(StrictModel):
    """The range that one count must lie in; both ends are within it."""

    min: Count | None = Field(None, description="Lower limit.")
    max: Count | None = Field(None, description="Upper limit.")
    between: Window | None = Field(None, description="Lower and upper limit: [low, high].")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.between is not None and (self.min is not None or self.max is not None):
            raise ValueError("between together with min or max; allowed: between, or min and max")
        low, high = self.low, self.high
        if low is None and high is None:
            raise ValueError("a bound with no limit; allowed: max: 40M, min: 1M, or between: [38M, 42M]")
        if high == 0:
            raise ValueError("an upper limit of 0; allowed: an upper limit of at least 1")
        if low is not None and high is not None and low > high:
            raise ValueError(
                f"the lowest count {self.text(low)} is above the highest {self.text(high)}; allowed: lowest <= highest"
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

    @staticmethod
    def text(value: float) -> str:
        """A value of this bound as people write it."""
        return format_count(int(value))


class Latency(Bound):
    """The range that the measured latency of one forward pass must lie in, and how it is measured."""

    min: Milliseconds | None = Field(None, description="Lower limit.")  # type: ignore[assignment]
    max: Milliseconds | None = Field(None, description="Upper limit.")  # type: ignore[assignment]
    between: TimeWindow | None = Field(None, description="Lower and upper limit: [low, high].")  # type: ignore[assignment]
    batch: int = Field(1, ge=1, le=65_536, description="Images per forward pass.")
    precision: Literal["float32", "bfloat16"] = Field("float32", description="Floating-point type of the forward pass.")

    @staticmethod
    def text(value: float) -> str:
        """Such as 2.5 ms."""
        return f"{value:g} ms"


@dataclass(frozen=True, kw_only=True)
class Price:
    """What a network costs by every name that a budget may bound. `memory`: bytes that training is predicted to take at
    its peak, at the file's batch size; `latency`: milliseconds, None until it was measured."""

    params: int
    flops: int
    macs: int
    activations: int
    memory: int
    latency: float | None = None

    def to_dict(self) -> dict[str, int | float]:
        """What the ledger keeps."""
        return {name: cost for name, cost in vars(self).items() if cost is not None}


class Budget(StrictModel):
    """Bounds on a network's counts; a count that is not named is free."""

    flops: Bound | None = Field(
        None, description="fvcore's total in eval mode: one multiply-add is 1 FLOP, norms and pooling included."
    )
    params: Bound | None = Field(None, description="Parameters.")
    macs: Bound | None = Field(
        None, description="Multiply-adds of convolutions and linear layers, the figure that papers quote."
    )
    activations: Bound | None = Field(
        None, description="Output elements of convolutions and linear layers (RegNet, Radosavovic 2020)."
    )

    memory: Bound | None = Field(
        None, description="Predicted peak memory of training in bytes, at the file's batch size."
    )
    latency: Latency | None = Field(
        None, description="Milliseconds per forward pass, measured on the trials' device before a trial starts."
    )

    def admits(self, cost: Cost | Price) -> bool:
        """Whether a network of this cost keeps every bound; a latency that is not measured yet keeps it."""
        return all(over <= 0 for over in self.violations(cost).values())

    def admits_many(self, counts: Mapping[str, Any]) -> Any:
        """The same for arrays of counts by name: an array of truth values (True where none is bounded)."""
        admitted: Any = True
        for name, bound in self.bounds():
            if name in counts:
                low, high = bound.low, bound.high
                admitted = admitted & (True if low is None else counts[name] >= low)
                admitted = admitted & (True if high is None else counts[name] <= high)
        return admitted

    def violations(self, cost: Cost | Price) -> dict[str, float]:
        """By which share each bound is exceeded: cost / high - 1, or 1 - cost / low; at most 0 where it is kept.

        The same names in the same order for every cost: flops.min, flops.max, ...
        """
        violations: dict[str, float] = {}
        for name, bound in self.bounds():
            count = getattr(cost, name, None)
            if count is None:
                continue
            if bound.low:
                violations[f"{name}.min"] = 1 - count / bound.low
            if bound.high is not None:
                violations[f"{name}.max"] = count / bound.high - 1
        return violations

    def is_exceeded(self, cost: Cost | Price) -> bool:
        """Whether a cost is above an upper limit: networks of other sources may well be below the lower ones."""
        return any(over > 0 for name, over in self.violations(cost).items() if not name.endswith(".min"))

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
            low = f"{bound.text(bound.low)} <= " if bound.low else ""
            high = f" <= {bound.text(bound.high)}" if bound.high is not None else ""
            parts.append(f"{low}{name}{high}")
        return ", ".join(parts) or "no budget"
