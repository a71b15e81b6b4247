"""From words and choices to an Architecture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from archsearch.architecture.spec import Architecture, Block, Stage
from archsearch.reading.errors import InputError, Problem
from archsearch.space.choices import Choices, Scalar, same
from archsearch.space.domains import Domain
from archsearch.space.parameters import Parameter, groups, vocabulary

Values = dict[str, Scalar | list[Scalar]]


def draw(parameters: Mapping[str, Parameter], choices: Choices) -> tuple[int, Values]:
    """The number of stages, and every word's value: a list, one a stage, for the words that stages have."""
    stages = _ask(parameters["stages"], "stages", choices)
    assert isinstance(stages, int)
    values: Values = {"stages": stages}
    for parameter in parameters.values():
        if parameter.name != "stages":
            values[parameter.name] = _draw_word(parameter, stages, values, choices)
    return stages, values


def build(stages: int, values: Values, *, image: tuple[int, int, int], classes: int, file: str = "") -> Architecture:
    """The architecture that has these values. Raises InputError where they do not go together."""
    net: dict[str, dict[str, Any]] = {group: {} for group in groups()}
    per_stage: list[dict[str, Any]] = [{} for _ in range(stages)]
    blocks: list[dict[str, Any]] = [{} for _ in range(stages)]
    for index, stage in enumerate(per_stage):
        stage["stride"] = vocabulary()["stride"].default(index)
    for name, value in values.items():
        term = vocabulary()[name]
        if term.group:
            net[term.group][term.field] = value
        elif isinstance(value, list):
            into = blocks if term.owner is Block else per_stage
            for target, own in zip(into, value, strict=True):
                target[term.field] = own
    try:
        parts: dict[str, Any] = {group: model(**net[group]) for group, model in groups().items()}
        return Architecture(
            input=image,
            classes=classes,
            stages=tuple(Stage(**s, block=Block(**b)) for s, b in zip(per_stage, blocks, strict=True)),
            **parts,
        )
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        found = f"the space allows words that do not go together: {detail['msg']}"
        hint = "rule the combination out with `when`"
        raise InputError(Problem(found=found, hint=hint, file=file)) from None


def holds(parameter: Parameter, values: Values, stage: int | None) -> bool:
    """Whether the word's conditions hold in a stage; with None, in some stage or for the network."""
    if stage is None:
        counts = [len(v) for name, _ in parameter.conditions if isinstance(v := values.get(name), list)]
        if counts:
            return any(holds(parameter, values, i) for i in range(counts[0]))
        stage = 0
    for name, wanted in parameter.conditions:
        value = values[name] if name in values else vocabulary()[name].default(stage)
        own = value[stage] if isinstance(value, list) else value
        if not any(same(own, one) for one in wanted):
            return False
    return True


def _draw_word(parameter: Parameter, stages: int, values: Values, choices: Choices) -> Scalar | list[Scalar]:
    term = parameter.term
    if not term.per_stage:
        return _ask(parameter, parameter.name, choices) if holds(parameter, values, None) else term.default()
    active = [i for i in range(stages) if holds(parameter, values, i)]
    drawn = [term.default(i) for i in range(stages)]
    if parameter.each:
        own = [_ask(parameter, f"stage{i + 1}.{parameter.name}", choices) for i in active]
    else:
        own = [_ask(parameter, parameter.name, choices)] * len(active) if active else []
    order = parameter.domain.order if parameter.domain else None
    if order:
        # The stages draw from one unchanging domain, as Optuna wants, and the values are sorted afterwards.
        own = sorted(own, key=_number, reverse=order == "decreasing")
    for index, value in zip(active, own, strict=True):
        drawn[index] = value
    return drawn


def _ask(parameter: Parameter, name: str, choices: Choices) -> Scalar:
    return parameter.value.ask(name, choices) if isinstance(parameter.value, Domain) else parameter.value


def _number(value: Scalar) -> float:
    assert isinstance(value, int | float)
    return value
