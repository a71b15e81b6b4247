"""Stochastic depth (Huang et al. 2016, arXiv:1603.09382): how deep a network is while it trains, and what that saves.

Foretold from the probabilities alone, and measured by training steps with and without it, in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from archsearch.anatomy.steps import Row
from archsearch.architecture.cost import cost
from archsearch.architecture.spec import Architecture, Survival
from archsearch.data.images import ImageSet
from archsearch.data.splitting import stratified, subset
from archsearch.network.build import build, skeleton
from archsearch.network.units import CountedDepth, StochasticDepth
from archsearch.space.settings import TrainingSettings
from archsearch.training.feeds.feed import Feed, feed_of
from archsearch.training.loop import Training
from archsearch.training.measuring.probe import endless
from archsearch.training.measuring.timing import Clock, torch_threads
from archsearch.training.run import TrainingRun

Floats = npt.NDArray[np.float64]
STEPS = 4  # timed in a row, behind one that is not


@dataclass(frozen=True, kw_only=True)
class Depth:
    """What stochastic depth leaves of a network in a training step.

    `probabilities` are those with which the branches of its L blocks with a shortcut are kept, `branch_flops` what they
    take; `flops` those of the whole network. `counted`: each step keeps the same number of blocks. `skips`: a dropped
    branch is not computed, which holds for draws per batch, and not for those per image.
    """

    probabilities: tuple[float, ...]
    branch_flops: tuple[int, ...]
    flops: int
    counted: bool
    skips: bool

    @classmethod
    def of(cls, architecture: Architecture) -> Depth:
        """Those of a network; its probabilities are 1 where it has no stochastic depth."""
        row = Row.of(skeleton(architecture))
        steps = [row.steps[number] for number in row.blocks if row.steps[number].has_shortcut]
        branches = [step.module.get_submodule("branch") for step in steps]
        return cls(
            probabilities=tuple(part.survival if isinstance(part, StochasticDepth) else 1.0 for part in branches),
            branch_flops=tuple(step.branch_flops for step in steps),
            flops=cost(architecture).flops,
            counted=any(isinstance(part, CountedDepth) for part in branches),
            skips=architecture.survival.per == "batch",
        )

    @property
    def expected(self) -> float:
        """The expected number of blocks whose branch is kept."""
        return sum(self.probabilities)

    @property
    def dropped(self) -> float:
        """The expected share of the blocks that are dropped."""
        return 1 - self.expected / len(self.probabilities)

    @property
    def saved_flops(self) -> float:
        """The expected share of a step's FLOPs that are not computed; backward passes save as forward ones do."""
        if not self.skips:
            return 0.0
        saved = (
            (1 - probability) * flops for probability, flops in zip(self.probabilities, self.branch_flops, strict=True)
        )
        return sum(saved) / self.flops

    @property
    def distribution(self) -> Floats:
        """(L + 1,): the probability that exactly k blocks are kept."""
        if self.counted:
            return np.eye(len(self.probabilities) + 1)[round(self.expected)]  # type: ignore[no-any-return]
        shares: Floats = np.ones(1)
        for probability in self.probabilities:
            shares = np.convolve(shares, [1 - probability, probability])
        return shares


def with_survival(architecture: Architecture, last: float | None) -> Architecture:
    """The network with the linear schedule of Huang 2016 that ends at this probability; with None as it is."""
    if last is None:
        return architecture
    return architecture.model_copy(update={"survival": Survival(schedule="linear", last=last)})


@dataclass(frozen=True, kw_only=True)
class Saving:
    """Seconds of training steps: `dropping` with stochastic depth and `whole` without it, (rounds, steps) each, on
    batches of `images`; by which `clock` (timing.py), on which device, with how many of torch's threads."""

    dropping: Floats
    whole: Floats
    images: int
    device: str
    threads: int
    clock: str

    @property
    def shares(self) -> Floats:
        """(rounds,): the share of a round's time without stochastic depth that is saved with it."""
        shares: Floats = 1 - self.dropping.sum(1) / self.whole.sum(1)
        return shares


def measured(
    architecture: Architecture,
    images: ImageSet,
    settings: TrainingSettings,
    device: torch.device,
    *,
    batch: int,
    rounds: int,
    seed: int = 0,
    on_round: Callable[[int, int], None] | None = None,
) -> Saving:
    """Times training steps on batches of so many of the training images (fewer, where these are few), by the recipe of
    `settings`: in each round STEPS with stochastic depth and as many without, one of them first in turn. On a CPU with
    one thread, by its own time. `on_round(done, of)` is called after each round."""
    threads = 1 if device.type == "cpu" else torch.get_num_threads()
    batch = max(1, min(batch, len(images.train) // (STEPS + 1)))
    chosen = stratified(images.train.labels, min(len(images.train), batch * (STEPS + 1)), seed=seed)[0]
    images, recipe = replace(images, train=subset(images.train, chosen)), endless(settings, batch)
    whole = architecture.model_copy(update={"survival": Survival()})
    seconds = np.zeros((2, rounds, STEPS))
    with torch_threads(threads):
        clock = Clock(device, threads)
        feed = feed_of(images, recipe, device)
        timers = [_Timer(network, images, feed, recipe, clock, seed) for network in (architecture, whole)]
        for number in range(rounds):
            for kind in _in_turn(number):
                seconds[kind, number] = timers[kind].steps()
            if on_round is not None:
                on_round(number + 1, rounds)
    return Saving(
        dropping=seconds[0], whole=seconds[1], images=timers[0].training.batch_size, device=device.type,
        threads=threads, clock=clock.kind,
    )  # fmt: skip


def _in_turn(number: int) -> Iterator[int]:
    yield from (0, 1) if number % 2 == 0 else (1, 0)


class _Timer:
    """One network's training, of which steps are timed."""

    def __init__(
        self, network: Architecture, images: ImageSet, feed: Feed, recipe: TrainingSettings, clock: Clock, seed: int
    ) -> None:
        run = TrainingRun(settings=recipe, seed=seed, device=clock.device)
        self._clock = clock
        self._marks: list[float] = []
        self.training = Training(build(network, seed=seed), images, run, feed=feed, on_step=self._stepped)

    def steps(self) -> Floats:
        """The seconds of STEPS steps, (STEPS,), behind one that is not counted."""
        self._marks.clear()
        self.training.train_epoch()
        return np.diff(self._marks)

    def _stepped(self, step: int, steps: int) -> None:
        self._marks.append(self._clock())
