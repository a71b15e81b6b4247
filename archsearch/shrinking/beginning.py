"""Trainings that begin with the weights of a parent: what a candidate inherits, and the parent as its teacher."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from archsearch.architecture.spec import Architecture
from archsearch.experiment import write_atomically
from archsearch.guests.either import Described
from archsearch.guests.parents import Parent as Source
from archsearch.guests.parents import suited
from archsearch.network.build import Network, build
from archsearch.network.inheriting import inherit
from archsearch.shrinking.kept import KeptParent, parent_of
from archsearch.shrinking.scoring import Parent, recalibrated
from archsearch.space.optimization_settings import PARENT
from archsearch.space.settings import TrainingSettings
from archsearch.training.checkpoint import weights_from_bytes, weights_to_bytes
from archsearch.training.devices import resolve_device
from archsearch.training.feeds.feed import Feed, feed_of
from archsearch.training.loop import Training
from archsearch.training.losses import classifier_of
from archsearch.training.run import TrainingRun
from archsearch.training.teaching import Teacher

if TYPE_CHECKING:
    from archsearch.data.images import ImageSet

SEED = 0  # of the images by which norms are measured: the same for all candidates, whose scores are compared
MOST = 2000  # validation images, at most, by which blocks are weighed


class Parents:
    """An experiment's parents in a process that trains; each is built where it is first needed, on the CPU."""

    def __init__(self, kept: Sequence[KeptParent]) -> None:
        self.kept = kept
        self.network = cache(self._network)

    def _network(self, index: int) -> Network:
        network = build(self.kept[index].architecture)
        network.load_state_dict(weights_from_bytes(self.kept[index].weights))
        return network.eval()

    def begin(self, index: int, network: Network, feed: Feed, batch_size: int, device: torch.device) -> None:
        """Gives the network the weights that it inherits of a parent, puts it on the device, and measures its norms on
        training images where it is not the parent itself. Raises InputError where the weights cannot be cut."""
        parent = self.kept[index]
        network.load_state_dict(inherit(self.network(index), network.architecture, parent.importance))
        network.to(device)
        if network.architecture.stages != parent.architecture.stages:
            recalibrated(network, feed, batch_size, seed=SEED)

    def training(self, index: int | None, network: Network, images: ImageSet, run: TrainingRun, feed: Feed) -> Training:
        """A training of the network that begins with the weights of a parent (None: as it is, and nothing of it is
        frozen), with the first parent as its teacher where the settings say so. Raises as `begin`."""
        device = resolve_device(run.device or run.settings.device)
        if run.threads is not None:
            torch.set_num_threads(run.threads)
        if index is not None:
            self.begin(index, network, feed, min(run.settings.batch_size, feed.count), device)
        else:
            run = replace(run, settings=run.settings.model_copy(update={"freeze": "none"}))
        training = Training(network, images, run, feed=feed)
        if index is not None and self.kept[index].scored:
            training.loss.standardise(network)
        if run.settings.teacher == PARENT:
            training.step.teacher = Teacher.made(self._network(0), run.settings, images, device)
        return training

    def start_of(self, architecture: Described, images: ImageSet, run: TrainingRun, folder: Path) -> Source | None:
        """The weights with which a training of this network begins, without those that have initial values: of a file
        in the folder, made where it is missing. None for initial values alone."""
        if not isinstance(architecture, Architecture) or (index := parent_of(self.kept, architecture)) is None:
            return None
        parent, file = self.kept[index], folder / "start.safetensors"
        if not file.exists():
            network, device = build(architecture, seed=run.seed), resolve_device(run.device or run.settings.device)
            feed = feed_of(images, run.settings, device)
            self.begin(index, network, feed, min(run.settings.batch_size, feed.count), device)
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(file, weights_to_bytes(network.state_dict()))
        content = file.read_bytes()
        tensors = weights_from_bytes(content)
        if not parent.scored:
            classifier = classifier_of(self.network(index))
            tensors = {name: tensor for name, tensor in tensors.items() if name.rpartition(".")[0] != classifier}
        return Source(
            source=parent.source, network=architecture, weights=tensors, names="archsearch", origin=parent.origin,
            licence=parent.licence, sha256=hashlib.sha256(content).hexdigest(),
        )  # fmt: skip

    @staticmethod
    def untrained(training: Training | None) -> dict[str, float]:
        """The metrics of a training before its first epoch, as those of an epoch 0."""
        assert training is not None and training.epoch == 0
        started = time.perf_counter()
        metrics = training.evaluate("validation").to_dict()
        measured = {f"validation_{name}": value for name, value in metrics.items() if name != "images"}
        seconds = time.perf_counter() - started
        return {"epoch": 0, "epochs": training.course.epochs, **measured, "seconds": seconds}


def kept(
    source: Source, images: ImageSet, settings: TrainingSettings, free: frozenset[tuple[str, int]], *, seed: int
) -> KeptParent:
    """A parent for these images, as an experiment keeps it: blocks are weighed where some may be dropped and the whole
    network was trained for these classes."""
    fitted = suited(source, images.shape, len(images.classes), seed=seed)
    assert isinstance(fitted.network, Architecture), "other libraries' networks have no slices"
    network = build(fitted.network)
    network.load_state_dict(fitted.weights)
    importance = None
    if not fitted.replaced and any(name == "depth" for name, _ in free):
        importance = Parent(network=network, images=images, settings=settings, most=MOST, seed=seed).importance()
    return KeptParent(
        source=source.source, architecture=network.architecture, weights=weights_to_bytes(network.state_dict()),
        free=free, importance=importance, scored=not fitted.replaced, origin=source.origin, licence=source.licence,
    )  # fmt: skip
