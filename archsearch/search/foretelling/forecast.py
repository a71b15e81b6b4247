"""How long a search will take: a probe's seconds of an epoch, times the epochs that its rungs let it train."""

from __future__ import annotations

import heapq
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from archsearch.architecture.spec import Architecture
from archsearch.experiment import machine
from archsearch.search.deciding.rungs import Rungs
from archsearch.space.many.columns import FloatArray
from archsearch.space.many.packing import Gpus, packed
from archsearch.space.placement import Placement, placed
from archsearch.space.search_settings import EarlyStopping, SearchSettings
from archsearch.space.settings import ResourceSettings

if TYPE_CHECKING:
    from archsearch.space.space import SearchSpace
    from archsearch.training.devices import Gpu
    from archsearch.training.measuring.probe import Timings

MOST_SIMULATED = 2000  # trials; a longer search's are taken to go on alike


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """`epoch_seconds` is the mean over networks within the budget, the quartiles beside it. `trial_epochs` are those of
    all trials together, early stopping as it is when rungs order the trials as later ones do; `at_most`: without it.

    Hours are of training and validation alone, with `at_once` trials that do not slow one another. `gpu_hours` is None
    where no GPU is used. `wall_hours` is the file's wall time: a search that would take longer ends then, with fewer
    trials, and the hours are no more than that.
    """

    trials: int
    trial_epochs: float
    trial_epochs_at_most: int
    epoch_seconds: float
    epoch_seconds_quartiles: tuple[float, float, float]
    networks: int
    at_once: int
    hours: float
    hours_at_most: float
    gpu_hours: float | None
    gpu_hours_at_most: float | None
    wall_hours: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "epoch_seconds_quartiles": list(self.epoch_seconds_quartiles)}


def forecast(
    space: SearchSpace,
    timings: Timings,
    architectures: Sequence[Architecture],
    *,
    train: int,
    validation: int,
    gpus: int,
    scored: float = 0.0,
) -> Forecast:
    """The forecast of the file's search on this machine, which has so many `gpus`. `architectures` are uniform draws
    from the networks within the budget; an epoch has `train` images and `validation` ones. A share `scored` of the
    trials is evaluated before the first epoch, as one rung more."""
    batch = space.training.batch_size
    seconds = np.array(
        [timings.epoch_seconds(a, train=train, validation=validation, batch=batch) for a in architectures]
    )
    mean, (low, middle, high) = float(seconds.mean()), np.quantile(seconds, (0.25, 0.5, 0.75)).tolist()
    trials, epochs = space.search.trials, trial_epochs(space.search, space.training.epochs, scored)
    evaluations = scored and scored * affordable_trials(space.search, space.training.epochs, scored)
    worked = epochs + evaluations * evaluation_share(train, validation)
    lanes = at_once(space.resources, trials, gpus=gpus)
    epochs_at_most = int(min(trials * space.training.epochs, _limit(space.search)))
    # The last trials do not fill all lanes: a search is no shorter than one trial trained to the end.
    hours = max(worked / lanes, min(epochs, space.training.epochs)) * mean / 3600
    gpu = space.resources.gpu_share if timings.device == "cuda" else 0.0
    wall = None if space.search.wall_time is None else space.search.wall_time / 3600
    end = math.inf if wall is None else wall
    at_most = epochs_at_most / lanes * mean / 3600
    return Forecast(
        trials=trials,
        trial_epochs=epochs,
        trial_epochs_at_most=epochs_at_most,
        epoch_seconds=mean,
        epoch_seconds_quartiles=(low, middle, high),
        networks=len(architectures),
        at_once=lanes,
        hours=min(hours, end),
        hours_at_most=min(at_most, end),
        gpu_hours=min(worked * mean / 3600, end * lanes) * gpu if gpu else None,
        gpu_hours_at_most=min(epochs_at_most * mean / 3600, end * lanes) * gpu if gpu else None,
        wall_hours=wall,
    )


def trial_epochs(search: SearchSettings, epochs: int, scored: float = 0.0) -> float:
    """Epochs of all trials together: those that the rungs let them have, within `search.epochs`. A share `scored` of
    the trials has a rung before the first epoch too."""
    return min(_unbounded_epochs(search, epochs, scored), _limit(search))


def affordable_trials(search: SearchSettings, epochs: int, scored: float = 0.0) -> int:
    """How many of the search's trials begin before `search.epochs` are spent, at least one."""
    return max(1, round(search.trials * min(1.0, _limit(search) / _unbounded_epochs(search, epochs, scored))))


def evaluation_share(train: int, validation: int) -> float:
    """Of the seconds of an epoch, those in which its `validation` images are evaluated: a training step has a backward
    pass too, which costs about two forward passes."""
    return validation / (3 * train + validation)


def _limit(search: SearchSettings) -> float:
    return math.inf if search.epochs is None else search.epochs


def _unbounded_epochs(search: SearchSettings, epochs: int, scored: float) -> float:
    """From going through the rungs with one worker and trials whose order is the same at every rung. Where rungs
    correlate less, more trials go on."""
    count = min(search.trials, MOST_SIMULATED)
    scores = np.random.default_rng(0).permutation(count).astype(float)
    _, trained = simulate(search.early_stopping, epochs, np.ones(count), scores, lanes=1, scored=scored)
    return trained * search.trials / count


def simulate(
    stopping: EarlyStopping,
    epochs: int,
    epoch_seconds: FloatArray,
    scores: FloatArray,
    *,
    lanes: int,
    scored: float = 0.0,
    evaluation: float = 0.0,
) -> tuple[float, float]:
    """(seconds from the first start to the last end, seconds of all lanes in trials) of n trials on so many lanes, gone
    through by an event list. An epoch of each takes `epoch_seconds`, (n,); `scores`, (n,), order them at every rung. A
    share `scored` of them is evaluated before the first epoch, which takes that share `evaluation` of an epoch."""
    asha = stopping.kind == "asha"
    begins_scored = np.random.default_rng(1).random(len(scores)) < (scored if asha else 0.0)
    rungs = Rungs(
        grace=stopping.grace_epochs if asha else epochs, reduction=stopping.reduction, epochs=epochs,
        brackets=stopping.brackets,
        scored_untrained=(lambda trial: bool(begins_scored[trial - 1])) if begins_scored.any() else None,
    )  # fmt: skip
    running: list[tuple[float, int, int]] = []  # when a trial comes to its rung: (seconds, trial, rung)
    begun, clock, worked = 0, 0.0, 0.0
    while True:
        while len(running) < lanes:
            stretch = next_stretch(rungs, begun, len(scores), epochs=epochs, running=bool(running))
            if stretch is None:
                break
            trial, start, end = stretch
            begun = max(begun, trial)
            spent = float(epoch_seconds[trial - 1]) * (end - start if end else evaluation)
            worked += spent
            heapq.heappush(running, (clock + spent, trial, end))
        if not running:
            return clock, worked
        clock, trial, end = heapq.heappop(running)
        rungs.record(trial, end, float(scores[trial - 1]))


def next_stretch(
    rungs: Rungs, begun: int, count: int, *, epochs: int, running: bool = False
) -> tuple[int, int, int] | None:
    """(trial, from epoch, to epoch) of what a free lane does next: a promoted trial, else the next of `count` trials
    of which so many have begun; once all have and none is `running`, the best that waits. To epoch 0: the trial is
    scored before it is trained. None: nothing now."""
    promotion = rungs.promotion() or (None if begun < count or running else rungs.last_promotion())
    if promotion is not None:
        trial, start = promotion.trial, promotion.rung
        rungs.promote(trial, start)
    elif begun < count:
        trial, start = begun + 1, 0
    else:
        return None
    above = rungs.above(trial, start)
    return trial, start, epochs if above is None else above


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where trials of the file train on this machine, what each of them gets, and the machine's number of GPUs."""

    placement: Placement
    resources: ResourceSettings
    gpus: int


def setting(space: SearchSpace, *, images: int = 0) -> Setting:
    """What a search on this machine would settle, with so many bytes of images. Raises InputError as `placed` does."""
    cores, usable, problem = os.cpu_count() or 1, list["Gpu"](), ""
    if machine.has_gpu_driver():
        from archsearch.training.devices import gpus, gpus_problem

        usable, problem = gpus(), gpus_problem()
    node = Gpus(count=len(usable), bytes=min((gpu.bytes for gpu in usable), default=0), cpus=cores)
    placement = placed(
        space.training.device,
        space.resources,
        gpus=len(usable),
        packed=lambda: packed(space, images, [node]),
        unusable=problem,
    )
    resources = placement.applied(space.resources).settled(cpus=cores, gpus=len(usable))
    return Setting(placement=placement, resources=resources, gpus=len(usable))


def at_once(resources: ResourceSettings, trials: int, *, gpus: int) -> int:
    """Trials that run at once on this machine, as the executor would settle it; at least one."""
    settled = resources.settled(cpus=os.cpu_count() or 1, gpus=gpus)
    return settled.at_once(settled.held(cpus=os.cpu_count() or 1, gpus=gpus), trials)
