"""The score of a slice without any training: its weights are cut out of the parent's, its norms measured anew."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from archsearch.anatomy.lesions import scored
from archsearch.anatomy.steps import Row
from archsearch.architecture.spec import Architecture
from archsearch.data.images import ImageSet
from archsearch.data.splitting import stratified, subset
from archsearch.network.build import Network, build
from archsearch.network.inheriting import Importance, inherit
from archsearch.space.settings import TrainingSettings
from archsearch.training.feeds.feed import Feed
from archsearch.training.loop import TestMetrics, Training
from archsearch.training.losses import Loss
from archsearch.training.measuring.threads import completed
from archsearch.training.measuring.timing import torch_threads
from archsearch.training.recalibration import recalibrate
from archsearch.training.run import TrainingRun

BATCHES = 8  # of training images, by which norms are measured
AT_ONCE = 256  # images of an evaluated batch
TIMED = 4  # steps


@dataclass(frozen=True, kw_only=True)
class Parent:
    """A trained network, and the images by which its slices are judged: at most `most` of the validation split. Where
    its weights come from, and their licence, are what a source states of them."""

    network: Network
    images: ImageSet
    settings: TrainingSettings
    most: int
    seed: int
    origin: str = ""
    licence: str | None = None
    threads: int | None = None  # of torch, in trainings; None: as a measurement chooses

    @cached_property
    def _few(self) -> ImageSet:
        split = self.images.validation
        if len(split) <= self.most:
            return self.images
        chosen = subset(split, stratified(split.labels, self.most, seed=self.seed)[0])
        return replace(self.images, validation=chosen)

    @cached_property
    def _training(self) -> Training:
        return Training(self.network, self._few, untaught(self.settings), seed=self.seed)

    def importance(self) -> dict[tuple[int, int], float]:
        """The error, or the loss, without each block that the network can be computed without."""
        training = self._training
        row = Row.of(self.network.eval())
        blocks = [number for number in row.blocks if row.steps[number].can_be_cut]
        batches = training.feed.evaluation("validation", AT_ONCE)
        loss = Loss.of(self.images, training.device)
        scores = scored(row, [row.without([number]) for number in blocks], batches, loss)
        steps = [row.steps[number] for number in blocks]
        return {(step.stage, step.block): score.value for step, score in zip(steps, scores, strict=True)}

    def inheritable(self, architecture: Architecture) -> None:
        """Raises InputError for an architecture that is no slice of the network."""
        inherit(self.network, architecture)

    def slice_of(self, architecture: Architecture, importance: Importance) -> Network:
        """The slice with the parent's weights and norms of its own. Raises InputError where it cannot be cut."""
        network = build(architecture)
        network.load_state_dict(inherit(self.network, architecture, importance))
        training = self._training
        network = network.to(training.device)
        recalibrated(network, training.feed, training.batch_size, seed=self.seed)
        return network

    def evaluated(self, network: Network) -> TestMetrics:
        """The metrics on the validation images; of the parent or a slice."""
        own = self._training if network is self.network else None
        feed = self._training.feed
        training = own or Training(network, self._few, untaught(self.settings), seed=self.seed, feed=feed)
        return training.evaluate("validation")

    @torch_threads(None)  # afterwards torch has as many as before
    def epoch_seconds(self, architecture: Architecture, settings: TrainingSettings) -> float:
        """About how long an epoch of this training takes, by the second of two short ones."""
        count = min(len(self.images.train), TIMED * settings.batch_size)
        part = subset(self.images.train, np.arange(count))
        run, _ = completed(architecture, TrainingRun(settings=settings, seed=0, threads=self.threads))
        training = Training(build(architecture), replace(self._few, train=part), run)
        training.train_epoch()
        began = time.perf_counter()
        training.train_epoch()
        trained = time.perf_counter()
        training.evaluate("validation")
        images = len(self.images.validation) / len(self._few.validation)
        return (trained - began) * len(self.images.train) / count + (time.perf_counter() - trained) * images


def recalibrated(network: Network, feed: Feed, batch_size: int, *, seed: int) -> None:
    """Measures the norms of a network on the feed's device anew, on some training images that the seed gives."""
    draws = torch.Generator().manual_seed(seed)
    order = torch.randperm(feed.count, generator=draws)[: BATCHES * batch_size]
    recalibrate(network, (images for images, _ in feed.training(order, draws, batch_size) if len(images) > 1))


def untaught(settings: TrainingSettings) -> TrainingSettings:
    """The settings without a teacher and an average of weights, which an evaluation does not need."""
    return settings.model_copy(update={"teacher": None, "ema": 0.0})


def value_of(metrics: TestMetrics) -> float:
    """By what slices are compared, more is better: the accuracy, or the loss, negated."""
    return -metrics.loss if metrics.accuracy is None else metrics.accuracy
