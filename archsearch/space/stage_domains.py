"""Domains that differ from stage to stage, or follow from a stage's value; and which domain a mapping writes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_serializer

from archsearch.reading.allowed import Allowed
from archsearch.space.choices import Choices, Scalar, same
from archsearch.space.domains import MAX_OPTIONS, Choice, Condition, Domain, Integers, Options, Reals, as_tuple

NonEmpty = Annotated[Options, Field(min_length=1, max_length=MAX_OPTIONS)]
Lists = Annotated[tuple[NonEmpty, ...], BeforeValidator(as_tuple), Allowed("a list of lists, one a stage")]


class PerStage(Domain):
    """One fixed value for each stage."""

    each: Literal["stage"] = Field(description="stage: each stage has its own value.")
    order: None = Field(None, description="Not allowed: the values are given in the order of the stages.")
    values: Options = Field(min_length=1, max_length=16, description="The value of each stage, in order.")

    def ask(self, name: str, choices: Choices) -> Scalar:
        """Nothing to ask: the value of the stage that `name` starts with."""
        return self.values[_stage_of(name)]

    def count(self) -> float:
        """One: it is fixed."""
        return 1

    def holds(self, value: Scalar) -> bool:
        """Whether some stage has it."""
        return any(same(each, value) for each in self.values)

    def probes(self) -> tuple[Scalar, ...]:
        """Every stage's value."""
        return self.values


class StageChoices(Domain):
    """One of a list, which each stage has for itself."""

    each: Literal["stage"] = Field(description="stage: each stage has its own value.")
    order: None = Field(None, description="Not allowed: stages have options of their own.")
    choices: Lists = Field(
        min_length=1, max_length=16, description="The values to choose from of each stage, in order."
    )

    @field_validator("choices")
    @classmethod
    def _distinct(cls, stages: tuple[tuple[Scalar, ...], ...]) -> tuple[tuple[Scalar, ...], ...]:
        for options in stages:
            Choice(choice=options)
        return stages

    @model_serializer(mode="plain")
    def _lists(self) -> dict[str, Any]:
        return {**self._as_written(), "choices": [list(options) for options in self.choices]}

    def of_stage(self, stage: int) -> Choice:
        """The choice of a stage, counted from 0."""
        return Choice(choice=self.choices[stage])

    def ask(self, name: str, choices: Choices) -> Scalar:
        """Asks for one of the options of the stage that `name` starts with."""
        return choices.choice(name, self.choices[_stage_of(name)])

    def count(self) -> float:
        """The number of options of the stage that has most."""
        return max(map(len, self.choices))

    def holds(self, value: Scalar) -> bool:
        """Whether it is an option of some stage."""
        return any(same(option, value) for option in self.probes())

    def probes(self) -> tuple[Scalar, ...]:
        """The options of all stages, one after another."""
        return tuple(option for options in self.choices for option in options)


class SameAs(Domain):
    """The same value as another key; `stem.width` alone may be written so."""

    each: None = Field(None, description="Not allowed: it is one value.")
    when: Condition = Field(default_factory=dict, max_length=0, description="Not allowed: it always holds.")
    order: None = Field(None, description="Not allowed: it is one value.")
    same_as: Literal["stage1.width"] = Field(description="stage1.width: the width of the first stage.")

    def ask(self, name: str, choices: Choices) -> Scalar:
        """Never asked: it is derived."""
        raise AssertionError(name)

    def count(self) -> float:
        """One: it follows from another's value."""
        return 1

    def holds(self, value: Scalar) -> bool:
        """Any value may be another's."""
        return True

    def probes(self) -> tuple[Scalar, ...]:
        """None of its own."""
        return ()


def kind_of(data: dict[str, Any]) -> type[Domain] | None:
    """Which domain a mapping writes; None where it is none of them, or several."""
    named = [kind for key, kind in KINDS.items() if key in data]
    return named[0] if len(named) == 1 else None


KINDS: dict[str, type[Domain]] = {
    "choice": Choice, "int": Integers, "float": Reals, "values": PerStage, "choices": StageChoices, "same_as": SameAs,
}  # fmt: skip


def _stage_of(name: str) -> int:
    """The index of the stage that a question starts with, as stage1.depth does."""
    return int(name.split(".", maxsplit=1)[0].removeprefix("stage")) - 1
