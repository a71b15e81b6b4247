"""What a parameter may have instead of one plain value: a choice, a range, or one value a stage."""

from __future__ import annotations

import math
from abc import abstractmethod
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_serializer, model_validator

from archsearch.reading.allowed import Allowed
from archsearch.reading.document import shorten
from archsearch.reading.model import StrictModel
from archsearch.space.choices import Choices, Scalar, same

MAX_OPTIONS = 1000


def _scalar(value: Any) -> Any:
    if not isinstance(value, str | int | float | bool | None) or (
        isinstance(value, float) and not math.isfinite(value)
    ):
        raise ValueError(f"found {shorten(value)}; allowed: a plain value")
    return value


def as_tuple(value: Any) -> Any:
    """A list as a tuple, which strict models ask for; anything else as it is."""
    return tuple(value) if isinstance(value, list) else value


def _as_tuples(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {k: tuple(v) if isinstance(v, list | tuple) else (v,) for k, v in value.items()}


_PLAIN = {"type": ["string", "number", "boolean", "null"]}
Plain = Annotated[Scalar, BeforeValidator(_scalar), Allowed("a plain value"), WithJsonSchema(_PLAIN)]
Options = Annotated[tuple[Plain, ...], BeforeValidator(as_tuple)]
Condition = Annotated[
    dict[str, tuple[Plain, ...]],
    BeforeValidator(_as_tuples),
    Allowed("a mapping of keys to a value, or to a list of values"),
    WithJsonSchema({"type": "object", "additionalProperties": {"anyOf": [_PLAIN, {"type": "array", "items": _PLAIN}]}}),
]


class Domain(StrictModel):
    """What every domain has."""

    each: Literal["stage"] | None = Field(None, description="stage: each stage has its own value.")
    when: Condition = Field(
        default_factory=dict,
        description="The parameter varies only where all these keys have (one of) these values; "
        "elsewhere it has its default.",
    )
    order: Literal["increasing", "decreasing"] | None = Field(
        None,
        description="With each: stage: values never decrease (increasing) or never increase "
        "(decreasing) from stage to stage.",
    )

    @model_serializer(mode="plain")
    def _as_written(self) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for name, info in type(self).model_fields.items():
            value = getattr(self, name)
            if name in self.model_fields_set and value is not None:
                data[info.alias or name] = list(value) if isinstance(value, tuple) else value
        if self.when:
            data["when"] = {k: v[0] if len(v) == 1 else list(v) for k, v in self.when.items()}
        return data

    @model_validator(mode="after")
    def _order_needs_stages(self) -> Self:
        if self.order and not self.each:
            raise ValueError("order without each: stage; allowed: order together with each: stage")
        return self

    def of_stage(self, stage: int) -> Domain:
        """What a stage, counted from 0, is asked for: itself, unless each stage has options of its own."""
        return self

    @abstractmethod
    def ask(self, name: str, choices: Choices) -> Scalar:
        """Asks `choices` for a value."""

    @abstractmethod
    def count(self) -> float:
        """How many values it holds; inf for an interval."""

    @abstractmethod
    def holds(self, value: Scalar) -> bool:
        """Whether the value is one of its own."""

    @abstractmethod
    def probes(self) -> tuple[Scalar, ...]:
        """All values where they are few; otherwise its ends."""


class Choice(Domain):
    """One of a list."""

    choice: Options = Field(min_length=1, max_length=MAX_OPTIONS, description="The values to choose from.")

    @field_validator("choice")
    @classmethod
    def _distinct(cls, options: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
        for index, option in enumerate(options):
            if any(same(option, earlier) for earlier in options[:index]):
                raise ValueError(f"the option {shorten(option)} is there twice; allowed: each option once")
        return options

    def ask(self, name: str, choices: Choices) -> Scalar:
        """Asks for one of the options."""
        return choices.choice(name, self.choice)

    def count(self) -> float:
        """The number of options."""
        return len(self.choice)

    def holds(self, value: Scalar) -> bool:
        """Whether it is an option."""
        return any(same(option, value) for option in self.choice)

    def probes(self) -> tuple[Scalar, ...]:
        """The options."""
        return self.choice


class Integers(Domain):
    """An integer from low to high, both among them."""

    bounds: Annotated[tuple[int, int], BeforeValidator(as_tuple), Allowed("a list of two integers [low, high]")] = (
        Field(alias="int", description="Lowest and highest value.")
    )
    step: int = Field(1, ge=1, description="Step between values; high - low must be a multiple of it.")
    log: bool = Field(False, description="Draw on a log scale: 1 to 2 is as likely as 32 to 64.")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        _check_range(*self.bounds, self.step if self.step != 1 else None, self.log)
        return self

    def ask(self, name: str, choices: Choices) -> int:
        """Asks for an integer."""
        return choices.integer(name, *self.bounds, step=self.step, log=self.log)

    def count(self) -> float:
        """The number of integers."""
        return (self.bounds[1] - self.bounds[0]) // self.step + 1

    def holds(self, value: Scalar) -> bool:
        """Whether it is one of these integers."""
        low, high = self.bounds
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return low <= value <= high and (value - low) % self.step == 0

    def probes(self) -> tuple[Scalar, ...]:
        """All of them up to a thousand; otherwise both ends."""
        low, high = self.bounds
        return tuple(range(low, high + 1, self.step)) if self.count() <= MAX_OPTIONS else (low, high)


class Reals(Domain):
    """A number from low to high."""

    bounds: Annotated[tuple[float, float], BeforeValidator(as_tuple), Allowed("a list of two numbers [low, high]")] = (
        Field(alias="float", description="Lowest and highest value.")
    )
    step: float | None = Field(None, gt=0, description="Step between values. Default: continuous.")
    log: bool = Field(False, description="Draw on a log scale.")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        _check_range(*self.bounds, self.step, self.log)
        return self

    def ask(self, name: str, choices: Choices) -> float:
        """Asks for a number; on a grid it is the decimal that a person would write, 0.8 and not 0.79999."""
        drawn = choices.real(name, *self.bounds, step=self.step, log=self.log)
        return drawn if self.step is None else self.snapped(drawn)

    def count(self) -> float:
        """The points of the grid, or inf."""
        low, high = self.bounds
        if low == high:
            return 1
        return math.inf if self.step is None else round((high - low) / self.step) + 1

    def holds(self, value: Scalar) -> bool:
        """Whether it is within the range, and on its grid."""
        low, high = self.bounds
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            return False
        return self.step is None or math.isclose(self.snapped(value), value, rel_tol=1e-9, abs_tol=1e-12)

    def probes(self) -> tuple[Scalar, ...]:
        """The grid up to a thousand points; otherwise both ends."""
        low, high = self.bounds
        if self.step is None or self.count() > MAX_OPTIONS:
            return (low, high)
        return tuple(self.snapped(low + self.step * i) for i in range(int(self.count())))

    def snapped(self, value: float) -> float:
        """The nearest point of the grid, as a person would write it."""
        low, step = self.bounds[0], self.step
        assert step is not None
        return float(Decimal(repr(low)) + round((value - low) / step) * Decimal(repr(step)))


def _check_range(low: float, high: float, step: float | None, log: bool) -> None:
    if low > high:
        raise ValueError(f"the range [{low}, {high}] is empty; allowed: [low, high] with low <= high")
    if log and low <= 0:
        raise ValueError(f"log with a lowest value of {low}; allowed: log with low above 0")
    if log and step is not None:
        raise ValueError("log together with step; allowed: one of the two")
    if step is not None:
        steps = Decimal(repr(high - low) if isinstance(step, int) else repr(round(high - low, 12))) / Decimal(
            repr(step)
        )
        if steps != steps.to_integral_value():
            below = Decimal(repr(low)) + int(steps) * Decimal(repr(step))
            raise ValueError(
                f"{high} is not {low} plus a multiple of the step {step}; "
                f"allowed: such as [{low}, {below}] or [{low}, {below + Decimal(repr(step))}]"
            )
