"""Warm start: what an earlier experiment learnt, for a search of a space that may have changed since.

A result carries over where the new space can draw the very same network (the same digest), whatever choices were
added, removed or renamed around it; where words of the training vary, with the very same ones. It informs the sampler;
networks outside the new budget do so too, and are never proposed. The new ledger keeps what was carried, so that
the new experiment stands on its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archsearch.architecture.cost import cost
from archsearch.architecture.spec import Architecture
from archsearch.data.recorded import refuse_other_images
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.experiment.records import TrialState
from archsearch.reading.errors import refuse
from archsearch.search.proposing.records import TrainedCandidate
from archsearch.space.loading import load_space
from archsearch.space.many.encoding import encode
from archsearch.space.many.grid import Grid
from archsearch.space.space import SearchSpace

if TYPE_CHECKING:
    from archsearch.data.images import ImageSet

KIND = "warm_start"  # of the ledger's note
LEARNT = (TrialState.FINISHED, TrialState.STOPPED, TrialState.PAUSED)


@dataclass(frozen=True, kw_only=True)
class Carried:
    """The results that carry over from one experiment; `dropped` counts the other trials by the reason."""

    source: str
    results: tuple[TrainedCandidate, ...]
    within_budget: int
    dropped: Mapping[str, int]
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """What carries over and what does not, as lines for a person."""
        total = len(self.results) + sum(self.dropped.values())
        lines = [f"warm start from {self.source}: {len(self.results)} of {total} results are used, "
f"{self.within_budget} of them within this budget"]  # fmt: skip
        lines += [f"  not used: {count} with {reason}" for reason, count in self.dropped.items()]
        return lines + [f"  note: {note}" for note in self.notes]

    def to_data(self) -> dict[str, Any]:
        """The JSON value that the ledger keeps; `carried_results` reads it back."""
        results = [
            {"choices": result.choices, "costs": result.costs, "curve": {str(e): v for e, v in result.curve.items()}}
            for result in self.results
        ]
        return {
            "source": self.source,
            "known": results,
            "within_budget": self.within_budget,
            "left": dict(self.dropped),
        }


def carry_over(space: SearchSpace, folder: ExperimentFolder, images: ImageSet | None = None) -> Carried:
    """What an earlier experiment knows of the networks of `space`, whose `images` must be the ones it was searched on;
    without them the settings that name them are compared.

    Raises InputError for an experiment without results or of other data.
    """
    before = load_space(folder.space_yaml)
    if before.data.name != space.data.name:
        raise refuse(
            f"{folder.name} searched on {before.data.name}, this file on {space.data.name}: "
            "their scores cannot be compared",
            allowed="an experiment on the same data",
            file="--warm-start",
        )
    grid, results, dropped, within = Grid(space.every_parameter), list[TrainedCandidate](), Counter[str](), 0
    notes = list[str]()
    if images is None and before.data != space.data:
        notes.append("the data settings differ: whether the images are the same is checked when the search begins")
    with Ledger.read(folder.ledger) as ledger:
        if images is not None:
            hint = "omit --warm-start, or use the same images with the same data settings"
            notes += filter(None, [refuse_other_images(ledger, images, hint=hint, file="--warm-start")])
        curves: dict[int, dict[int, float]] = {}
        for epoch in ledger.epochs():
            score = epoch.metrics.get(space.search.objective.validation)
            if score is not None:
                curves.setdefault(epoch.trial, {})[epoch.epoch] = score
        trials = [trial for trial in ledger.trials() if trial.state in LEARNT and curves.get(trial.number)]
        other_metric = ledger.objective != space.search.objective and ledger.has(*LEARNT)
    if not trials:
        what = f" of {space.search.objective.label}, this search's metric" if other_metric else " yet"
        raise refuse(f"{folder.name} has no results{what}", allowed="an experiment with finished or stopped trials",
                     file="--warm-start")  # fmt: skip
    for trial in trials:
        architecture = Architecture.from_dict(dict(trial.architecture))
        training = before.training.with_overrides(before.trainings.overrides(trial.choices))
        row = encode(space, grid, architecture, training, chosen=trial.training, recorded=trial.choices)
        if isinstance(row, str):
            dropped[row] += 1
            continue
        price = space.price(cost(architecture))
        within += space.budget.admits(price)
        results.append(TrainedCandidate(choices=grid.choices(row), costs=price.to_dict(), curve=curves[trial.number]))
    varied = {*before.trainings.varied, *space.trainings.varied}
    same_recipe = before.training.model_dump(exclude=varied) == space.training.model_dump(exclude=varied)
    notes += [] if same_recipe else ["the training settings have changed, so scores may differ"]
    return Carried(
        source=folder.name,
        results=tuple(results),
        within_budget=within,
        dropped=dict(dropped.most_common()),
        notes=tuple(notes),
    )


def carried_results(ledger: Ledger) -> list[TrainedCandidate]:
    """The results that were carried over to this ledger's experiment when it began."""
    return [
        TrainedCandidate(choices=k["choices"], costs=k["costs"], curve={int(e): v for e, v in k["curve"].items()})
        for event in ledger.events_of(KIND)
        for k in event.data["known"]
    ]
