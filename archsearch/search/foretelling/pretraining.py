"""What `archsearch check` says of published pretrained networks: which fit the budget, and whether they may win."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from archsearch import zoo
from archsearch.analysis.outline import short
from archsearch.architecture.cost import cost
from archsearch.architecture.quantities import Cost
from archsearch.data.surveying import FolderSurvey
from archsearch.experiment.suggested import command
from archsearch.reading.errors import InputError
from archsearch.space.pretraining import Case, objection
from archsearch.space.space import SearchSpace
from archsearch.zoo.pretrained import SIDE, Pretrained, pretrained

NAMED, QUICK = 3, 30_000_000  # networks in the command, and the most parameters of one, where others fit
# Of the costs at 224 pixels and 1,000 classes: what is surely left with fewer classes, and of smaller images where
# divisions round down.
WITHOUT_HEAD, ROUNDED = 0.8, 0.5


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """Published weights, and what their network costs at a space's image and classes."""

    source: str
    cost: Cost

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"name": self.source, "params": self.cost.params, "flops": self.cost.flops}

    def __str__(self) -> str:
        """The name with the costs, for a person."""
        return f"{self.source}, {short(self.cost.params)} parameters and {short(self.cost.flops)} FLOPs"


def advice(space: SearchSpace, survey: FolderSurvey | None, train: int) -> dict[str, Any]:
    """As plain JSON values: how many of the published networks `fit` the budget at the space's image and classes, the
    `smallest` and the `largest` of them, `names` of all; whether one of them is `likely` to beat a search of so many
    training images, what a person is told (`sentence`), and the `command` that compares some where that is likely."""
    fitting = sorted(within(space), key=lambda network: (network.cost.params, network.source))
    channels = space.input[0] if survey is None else min(space.input[0], survey.channels)
    per_class = train / space.classes if space.classes > 1 else None
    case = Case(fit=len(fitting), channels=channels, side=min(space.input[1:]), per_class=per_class)
    against = objection(case)
    return {
        "fit": len(fitting),
        "of": len(pretrained()),
        "smallest": fitting[0].to_dict() if fitting else None,
        "largest": fitting[-1].to_dict() if fitting else None,
        "names": [network.source for network in fitting],
        "likely": against is None,
        "sentence": _sentence(space, fitting, against),
        "command": _command(space, fitting) if against is None else None,
    }


def within(space: SearchSpace) -> Iterator[Fitting]:
    """The published networks that keep the space's budget, counted exactly at its image and classes."""
    for published in pretrained():
        if not _may_fit(published, space):
            continue
        network = zoo.get(published.network).model_copy(update={"input": space.input, "classes": space.classes})
        try:
            counted = cost(network)
        except InputError:  # the image runs out on the way
            continue
        if not space.budget.is_exceeded(space.price(counted)):
            yield Fitting(source=published.source, cost=counted)


def _may_fit(published: Pretrained, space: SearchSpace) -> bool:
    """Whether a network may keep the bounds on counts: False where lower limits of its costs are above them already."""
    share = ROUNDED * min(1.0, space.input[1] * space.input[2] / SIDE**2)
    least = {"params": WITHOUT_HEAD * published.params, "macs": share * published.macs, "flops": share * published.macs}
    return all(bound.high is None or least.get(name, 0.0) <= bound.high for name, bound in space.budget.bounds())


def _sentence(space: SearchSpace, fitting: list[Fitting], against: str | None) -> str:
    image = "x".join(map(str, space.input))
    if not fitting:
        return f"none of {len(pretrained())} published networks fits this budget at {image} ({_least(space)}): search"
    count = "1 published network fits" if len(fitting) == 1 else f"{len(fitting)} published networks fit"
    counted = f"{count} this budget at {image} (the smallest: {fitting[0]})"
    if against is None:
        return f"{counted}; one of them is likely to beat a search: fine-tune them too, after it"
    return f"{counted}, but {against}: search; they can be compared after it"


def _command(space: SearchSpace, fitting: list[Fitting]) -> str | None:
    """The command that fine-tunes the largest of them beside the search's winner; None where there is none."""
    quick = [network for network in fitting if network.cost.params <= QUICK] or fitting[:1]
    largest = sorted(quick, key=lambda network: -network.cost.flops)[:NAMED]
    names = ",".join(network.source for network in largest)
    return command("confirm", space.name, "--pretrained", names) if names else None


def _least(space: SearchSpace) -> str:
    """The smallest published network that takes the space's image."""
    for published in pretrained():
        network = zoo.get(published.network).model_copy(update={"input": space.input, "classes": space.classes})
        try:
            return f"the smallest: {Fitting(source=published.source, cost=cost(network))}"
        except InputError:
            continue
    return "none takes such images"
