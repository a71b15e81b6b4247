"""A network that is known already, as a point of a space: the choices that give it."""

from __future__ import annotations

from typing import Any

from archsearch.architecture.block import Block
from archsearch.architecture.canonical import digest
from archsearch.architecture.spec import Architecture
from archsearch.reading.errors import refuse
from archsearch.space.choices import RecordedChoices, Recorder, Scalar
from archsearch.space.linear_widths import GROUP
from archsearch.space.parameters import Term, network_terms
from archsearch.space.resolution import SIZE, as_value
from archsearch.space.space import SearchSpace


def choices_of(space: SearchSpace, network: Architecture) -> dict[str, Scalar]:
    """The choices with which the space gives this network, for the space's images and classes (of several sizes, for
    the network's own where it is one of them, the largest otherwise). Raises InputError where there are none: the
    budget plays no part."""
    if any(parameter.term.group == GROUP for parameter in space.parameters.values()):
        raise refuse("linear widths have no inverse", allowed="a space of parameters that the file gives")
    image = network.input if network.input in space.inputs else space.input
    network = network.model_copy(update={"input": image, "classes": space.classes})
    answers = {name: _answer(name, network) for name, _ in space.dimensions()}
    recorder = Recorder(RecordedChoices({name: value for name, value in answers.items() if value is not None}))
    found = space.architecture(recorder)
    if digest(found) != digest(network):
        raise refuse("another network than those of this space", allowed=_difference(found, network))
    return recorder.taken


def _answer(question: str, network: Architecture) -> Any:
    """The network's value of what a space asks; None where it has none, as of linear widths."""
    stage, _, rest = question.partition(".")
    if stage.startswith("stage") and stage[5:].isdecimal():
        number, term = int(stage[5:]) - 1, network_terms()[rest]
    else:
        number, term = 0, network_terms().get(question)  # type: ignore[assignment]
    if term is None or term.group == GROUP:
        return None
    if term.name == SIZE:
        return as_value(*network.input[1:])
    if term.name == "stages":
        return len(network.stages)
    if term.group:
        return getattr(getattr(network, term.group), term.field)
    return None if number >= len(network.stages) else _of_stage(network, number, term)


def _of_stage(network: Architecture, number: int, term: Term) -> Any:
    stage = network.stages[number]
    return getattr(stage.block if term.owner is Block else stage, term.field)


def _difference(found: Architecture, network: Architecture) -> str:
    """What the space has in place of the first thing in which the network differs."""
    for term in network_terms().values():
        if term.per_stage:
            for number, (mine, other) in enumerate(zip(found.stages, network.stages, strict=False)):
                values = [_of_stage(each, number, term) for each in (found, network)]
                if mine != other and values[0] != values[1]:
                    return f"{term.name} {values[0]} in stage {number + 1}, not {values[1]}"
        elif term.group and term.group != GROUP and term.name != SIZE:
            first, second = (getattr(getattr(each, term.group), term.field) for each in (found, network))
            if first != second:
                return f"{term.name} {first}, not {second}"
    return "networks that the parameters of `space` give"
