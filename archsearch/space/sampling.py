"""One candidate: the values that choices give to a space's parameters, and the Architecture that has them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from archsearch.architecture.block import Block
from archsearch.architecture.spec import Architecture, Stage
from archsearch.reading.errors import InputError, Problem
from archsearch.space.choices import Choices, Scalar, same
from archsearch.space.linear_widths import GROUP
from archsearch.space.parameters import Parameter, network_terms, parts, vocabulary
from archsearch.space.resolution import SIZE, sides
from archsearch.space.rules import Assignment, in_order

if TYPE_CHECKING:
    from archsearch.space.many.linear import Derived


class NotInSpace(InputError):
    """Choices whose linear widths give a number of stages that the space does not allow."""


@dataclass
class Candidate(Assignment):
    """The values of one candidate by its parameters' names: a list, one a stage, of those that stages have.

    `stages` is 1 before it is settled, and for a training.
    """

    values: dict[str, Scalar | list[Scalar]] = field(default_factory=dict)
    stages: int = 1
    always = True
    derived: Derived | None = None

    @property
    def most_stages(self) -> int:  # type: ignore[override]
        """The same: of one candidate they are known."""
        return self.stages

    def differs_by_stage(self, name: str) -> bool:
        """Whether the value is a list."""
        return isinstance(self.values.get(name), list)

    def is_among(self, name: str, stage: int, values: Iterable[Scalar]) -> bool:
        """Whether the value in a stage, or the default of a parameter without one, is the same as one of these."""
        mine = self.values[name] if name in self.values else network_terms()[name].default(stage)
        mine = mine[stage] if isinstance(mine, list) else mine
        return any(same(mine, value) for value in values)

    def numbers(self, name: str, stage: int) -> Any:
        """(1,): the value in a stage as an array."""
        import numpy as np

        value = self.values[name] if name in self.values else vocabulary()[name].default(stage)
        return np.array([(value[stage] if isinstance(value, list) else value) or 0])

    def derive(self, parameter: Parameter) -> None:
        """Gives `stages`, `depth` or `width` what the linear widths say, another the first stage's width. Raises
        NotInSpace for stages that the parameter does not allow."""
        from archsearch.space.many.linear import Derived

        if parameter.is_first_width:
            widths = self.values["width"]
            assert isinstance(widths, list)
            self.values[parameter.name] = widths[0]
            return
        if parameter.name == "stages":
            allowed = [value for value in parameter.probes() if isinstance(value, int)]
            self.derived = Derived(self, allowed)
            count, widest = int(self.derived.stages.count[0]), int(self.derived.stages.widths.max())
            if not self.derived.possible[0]:
                text = f"the linear widths give {count} stages, the widest of {widest} channels"
                stages_allowed = f"stages: {', '.join(map(str, allowed))}; widths of at most 8192"
                raise NotInSpace(Problem(message=text, allowed=stages_allowed, file=GROUP))
            self.values["stages"] = self.stages = count
            return
        assert self.derived is not None
        of_stage = getattr(self.derived, parameter.name)
        self.values[parameter.name] = [int(of_stage(stage)[0]) for stage in range(self.stages)]

    def active_stages(self, parameter: Parameter) -> list[int]:
        """The stages that have a value which was asked, counted from 0; of the network's parameters [0] or []."""
        if not parameter.conditions:
            return list(range(self.stages if parameter.term.per_stage else 1))
        if not parameter.term.per_stage:
            return [0] if self.holds(parameter) else []
        return [stage for stage in range(self.stages) if self.is_active(parameter, stage)]

    def ask(self, parameter: Parameter, active: Sequence[int], choices: Choices) -> list[Scalar]:
        """The answers for the active stages: one each, or one for all of them."""
        if not parameter.each:
            return [parameter.ask(parameter.name, choices)] * len(active) if active else []
        questions = parameter.questions(self.stages)
        return [parameter.ask(questions[stage], choices) for stage in active]

    def assign(self, parameter: Parameter, active: Sequence[int], answers: Sequence[Scalar]) -> None:
        """The active stages get the answers, in the parameter's order; the others get its default."""
        term = parameter.term
        values = [term.default(stage) for stage in range(self.stages if term.per_stage else 1)]
        for stage, value in zip(active, in_order(parameter, answers), strict=True):
            values[stage] = value
        self.values[parameter.name] = values if term.per_stage else values[0]
        if parameter.name == "stages":
            assert isinstance(values[0], int)
            self.stages = values[0]


def draw(parameters: Mapping[str, Parameter], choices: Choices) -> Candidate:
    """What `choices` answer to every question that is put to them, in the order of the parameters.

    Raises NotInSpace where linear widths give other stages than the space allows.
    """
    candidate = Candidate()
    for parameter in parameters.values():
        if parameter.derived_from:
            candidate.derive(parameter)
        else:
            active = candidate.active_stages(parameter)
            candidate.assign(parameter, active, candidate.ask(parameter, active, choices))
    return candidate


def build(candidate: Candidate, *, image: tuple[int, int, int], classes: int, file: str = "") -> Architecture:
    """The architecture that has the candidate's values, for images of the shape `image`, or as high and wide as the
    candidate has them. Raises InputError where its values do not go together."""
    image = (image[0], *sides(candidate.values[SIZE])) if SIZE in candidate.values else image
    fields: dict[tuple[type[Any], int], dict[str, Any]] = defaultdict(dict)  # by model and stage
    for index in range(candidate.stages):
        fields[Stage, index]["stride"] = vocabulary()["stride"].default(index)
    for name, value in candidate.values.items():
        term = network_terms()[name]
        for index, mine in enumerate(value if isinstance(value, list) else [value]):
            fields[term.owner, index][term.field] = mine
    try:
        stages = tuple(
            Stage(**fields[Stage, index], block=Block(**fields[Block, index])) for index in range(candidate.stages)
        )
        groups: dict[str, Any] = {group: model(**fields[model, 0]) for group, model in parts().items()}
        return Architecture(input=image, classes=classes, stages=stages, **groups)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        text = f"the space allows values that do not go together: {detail['msg']}"
        hint = "rule the combination out with `when`"
        raise InputError(Problem(message=text, hint=hint, file=file)) from None
