"""Training that yields its metrics: iterate it and get one EpochMetrics an epoch; stop iterating to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from archsearch.data.images import ImageSet, SplitName
from archsearch.data.weighing import image_weights
from archsearch.space.settings import TrainingSettings
from archsearch.training import recipe
from archsearch.training.checkpoint import thresholds_of, weights_from_bytes, weights_to_bytes
from archsearch.training.course import Course
from archsearch.training.devices import resolve_device, usual_precision
from archsearch.training.epoch.counts import counted_at_once
from archsearch.training.epoch.depth import Depth
from archsearch.training.epoch.graph import graph_of
from archsearch.training.epoch.plan import Plan, batched
from archsearch.training.feeds.batches import evaluation_batch
from archsearch.training.feeds.feed import Feed, feed_of
from archsearch.training.freezing import Frozen
from archsearch.training.losses import Loss
from archsearch.training.metrics import Thresholds, best_thresholds, measured
from archsearch.training.mixing import Mixer
from archsearch.training.plateau import Plateau
from archsearch.training.randomness import benchmarks, generator_of, torch_seeded
from archsearch.training.recipe import segment
from archsearch.training.run import DepthSeeded, PointwiseMultiplied, TrainingRun
from archsearch.training.step import Step
from archsearch.training.teaching import Teacher

OnStep = Callable[[int, int], None]  # (steps done, steps of the epoch)


@dataclass(frozen=True, kw_only=True)
class EpochMetrics:
    """One epoch, counted from 1. Losses are means; the training's are taken on augmented images, smoothed.

    `learning_rate` is the last step's, `seconds` the whole epoch's, `images_per_second` training's alone. `scores` are
    all metrics that apply to the task (archsearch.space.tasks.METRICS), and a person's own, on validation. The
    accuracies are of single_label alone: None for another task, `validation_accuracy` else being scores["accuracy"].
    """

    epoch: int
    epochs: int
    train_loss: float
    train_accuracy: float | None
    validation_loss: float
    validation_accuracy: float | None
    learning_rate: float
    seconds: float
    images_per_second: float
    scores: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, flat: each score as validation_NAME, as the ledger and MLflow have it; no accuracies where
        they are None."""
        values = {name: value for name, value in asdict(self).items() if name != "scores" and value is not None}
        return values | {f"validation_{name}": value for name, value in self.scores.items()}


@dataclass(frozen=True, kw_only=True)
class TestMetrics:
    """A split's mean loss, the share of its images that are right (of single_label; else None), how many it has, and
    `scores`: all metrics that apply to the task, by their names."""

    __test__ = False  # no test of pytest's

    loss: float
    accuracy: float | None
    images: int
    scores: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, flat: each score by its name; no accuracy where it is None."""
        values = {name: value for name, value in asdict(self).items() if name != "scores" and value is not None}
        return values | self.scores


class Diverged(RuntimeError):
    """The training loss of an epoch (counted from 1) is no finite number."""

    def __init__(self, epoch: int, loss: float) -> None:
        super().__init__(epoch, loss)  # so that a worker's error can be pickled
        self.epoch, self.loss = epoch, loss

    def __str__(self) -> str:
        return f"the training loss is {self.loss} in epoch {self.epoch}; try a lower learning rate"


class Training:
    """Trains `model` on `images` as `run` says; an iterator of EpochMetrics.

    `run`: a TrainingRun, or its settings with its other fields as keywords.
    The same seed gives the same metrics, bit for bit, on a CPU with as many threads. Every kind of draw has
    a generator of its own, seeded by (seed, purpose, epoch), so that a restored training goes on exactly as
    it would have; torch's global state is left as it was found.
    `feed` is the images' for this device, where one is at hand. `on_step(done, steps)` is called after every step.
    Raises InputError for a device that is not there, Diverged for a loss that is no finite number, ValueError
    for rungs that do not rise.
    """

    def __init__(
        self,
        model: nn.Module,
        images: ImageSet,
        run: TrainingRun | TrainingSettings,
        *,
        feed: Feed | None = None,
        on_step: OnStep | None = None,
        **fields: Any,
    ) -> None:
        run = TrainingRun(settings=run, **fields) if isinstance(run, TrainingSettings) else replace(run, **fields)
        self.run, self.settings, self.images, self.on_step = run, run.settings, images, on_step
        self.course = Course(run.settings.epochs, run.rungs)
        self.plateau = Plateau(run.settings.patience)
        if run.threads is not None:
            torch.set_num_threads(run.threads)
        self.device = resolve_device(run.device or run.settings.device)
        self.precision = run.precision or usual_precision(run.settings, self.device)
        self.model = model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if isinstance(model, PointwiseMultiplied) and self.device.type == "cpu" and not run.compiled:
            model.multiply_pointwise()
        self.frozen = Frozen(self.model, run.settings.freeze)
        self.loss = Loss.of(images, self.device)
        loss = Loss.of(images, self.device, run.settings)
        self.step = Step(
            self.model, run.settings, loss, device=self.device, precision=self.precision, compiled=run.compiled
        )
        weights = image_weights(images, run.settings)
        self.weights_so_far = None if weights is None else torch.from_numpy(weights.cumsum())
        self.thresholds: Thresholds | None = None
        self.epoch = 0
        self.feed = feed if feed is not None else feed_of(images, run.settings, self.device)
        self.batch_size = min(run.settings.batch_size, self.feed.count)
        self.steps = self.feed.count // self.batch_size
        self._depth = Depth(nn.Identity() if run.compiled else self.model, self.step.sizes(self.batch_size))
        size = run.settings.trained_size(*images.shape[1:])
        parts = self.step, self.model, self.feed, self.batch_size, size, self._depth
        self.graph = None if run.compiled else graph_of(*parts)

    def __iter__(self) -> Iterator[EpochMetrics]:
        return self

    def __next__(self) -> EpochMetrics:
        if self.epoch >= self.course.epochs:
            raise StopIteration
        start = time.perf_counter()
        loss, accuracy, rate = self.train_epoch()
        trained = time.perf_counter()
        if not math.isfinite(loss):
            raise Diverged(self.epoch, loss)
        validation = self.evaluate("validation")
        self.plateau.update(validation.loss if validation.accuracy is None else 1 - validation.accuracy)
        return EpochMetrics(
            epoch=self.epoch,
            epochs=self.course.epochs,
            train_loss=loss,
            train_accuracy=accuracy,
            validation_loss=validation.loss,
            validation_accuracy=validation.accuracy,
            scores=validation.scores,
            learning_rate=rate,
            seconds=time.perf_counter() - start,
            images_per_second=self.steps * self.batch_size / (trained - start),
        )

    def train_epoch(self) -> tuple[float, float | None, float]:
        """An epoch's steps alone: (mean loss, accuracy, last rate), the accuracy None as in EpochMetrics. The device is
        waited for once, at the end."""
        epoch = self.epoch
        if self.step.teacher is None:  # an evaluation needs none
            self.step.teacher = Teacher.of(self.settings, self.images, self.device)
        self.model.train()
        self.frozen.keep()
        self.step.start()
        with (
            torch_seeded(
                self.run.seed,
                epoch,
                self.device,
                deterministic=self.settings.deterministic,
                benchmark=benchmarks(self.settings, self.course.epochs * self.steps),
            ),
            counted_at_once(self.model, self.steps, self._depth),
        ):
            replays = self.graph is not None and self.graph.begins(self._plan, self._steps_ahead())
            stepped, plan = self.graph.stepped if self.graph and replays else self._stepped, self._plan()
            for number, _ in enumerate(stepped(plan)):
                if self.on_step is not None:
                    self.on_step(number + 1, self.steps)
        self._depth.clear()
        self.epoch += 1
        right = self.step.right.item() / (self.steps * self.batch_size) if self.loss.task == "single_label" else None
        return self.step.losses.item() / self.steps, right, plan.rates[-1]

    def _plan(self) -> Plan:
        """The next epoch's draws and rates."""
        generator = partial(generator_of, self.run.seed, epoch=self.epoch)
        if isinstance(self.model, DepthSeeded):
            self.model.seed_stochastic_depth(generator("depth"))
        self._depth.draw(self.steps, self.device)
        order = self._order(generator("order"))
        steps = (self.course.schedule_step(self.epoch, number, self.steps) for number in range(self.steps))
        return Plan(
            order=batched(order, self.steps, self.batch_size, self.settings.repeated_augmentation),
            augmentation=generator("augmentation"),
            mixer=Mixer(self.settings, generator("mixing")),
            rates=[recipe.learning_rate(self.settings, *step, self.plateau.falls) for step in steps],
        )

    def _steps_ahead(self) -> int:
        """Steps before the end, or before the next rung, where the training may pause."""
        return (segment(self.epoch, self.course.epochs, self.course.rungs)[1] - self.epoch) * self.steps

    def _stepped(self, plan: Plan) -> Iterator[None]:
        """Yields after each step of an epoch."""
        batches = self.feed.training(plan.order, plan.augmentation, self.batch_size)
        for number, (batch, rate) in enumerate(zip(batches, plan.rates, strict=True)):
            self.step(*batch, plan.mixer, rate, partial(self._depth.decide, self._depth.row(number)))
            yield

    def _order(self, generator: torch.Generator) -> Tensor:
        """The training images of an epoch, by their numbers: each once, or as many drawn by their weights."""
        if self.weights_so_far is None:
            return torch.randperm(self.feed.count, generator=generator)
        drawn = torch.rand(self.feed.count, dtype=torch.float64, generator=generator) * self.weights_so_far[-1]
        return torch.searchsorted(self.weights_so_far, drawn, right=True).clamp_(max=self.feed.count - 1)

    @torch.no_grad()
    def evaluate(self, split: SplitName, outputs: list[Tensor] | None = None) -> TestMetrics:
        """Loss and metrics on a split, unaugmented and unsmoothed, in eval mode; of the average where one is taken.
        `outputs` gets the network's outputs (N, K), batch by batch, float32 on the CPU, as it is handed over: scores,
        or numbers in the targets' units.

        On validation `thresholds` are chosen anew, where there are several labels; other splits are judged by those.
        """
        loss, right = torch.zeros((), device=self.device), torch.zeros((), device=self.device, dtype=torch.int64)
        parts: list[Tensor] = []
        self.model.eval()
        count, at_once = 0, evaluation_batch(self.model, self.images.shape, self.step.sizes(self.batch_size))
        with self.step.evaluated(), torch.inference_mode():
            for images, labels in self.feed.evaluation(split, at_once):
                with self.step.autocast():
                    scores = self.model(images)
                loss += self.loss(scores, labels) * len(labels)
                if self.loss.task == "single_label":
                    right += (scores.argmax(1) == labels).sum()
                parts.append(self.loss.outputs(scores))
                count += len(labels)
                if outputs is not None:
                    outputs.append((parts[-1] if self.loss.task == "regression" else scores.float()).cpu())
        accuracy = {"accuracy": right.item() / count} if self.loss.task == "single_label" else {}
        predicted, truth = torch.cat(parts).cpu().numpy(), self.images.split(split).labels
        if self.loss.task == "multi_label" and split == "validation" and (self.epoch or self.thresholds is None):
            self.thresholds = best_thresholds(predicted, truth)
        measures = measured(self.loss.task, predicted, truth, self.thresholds) | accuracy
        own = {name: metric(predicted, truth) for name, metric in self.images.metrics.items()}
        measures |= {name: value for name, value in own.items() if math.isfinite(value)}
        return TestMetrics(loss=loss.item() / count, accuracy=accuracy.get("accuracy"), images=count, scores=measures)

    def weights(self) -> dict[str, Tensor]:
        """The weights that are evaluated and handed over, by the names of the model's state_dict; not copies. Those of
        a regression give the targets' units."""
        weights = self.model.state_dict() if self.step.average is None else self.step.average.weights()
        return self.loss.in_units(self.model, weights)

    def load(self, weights: bytes) -> Self:
        """Takes in what `packed_weights` gave, to be evaluated, not trained on. Raises CheckpointDamaged, and
        RuntimeError for the weights of another network."""
        self.model.load_state_dict(weights_from_bytes(weights))
        self.loss.standardise(self.model)
        self.step.average = None
        self.thresholds = thresholds_of(weights)
        return self

    def packed_weights(self) -> bytes:
        """The weights as safetensors, with the thresholds of several labels as its metadata (`thresholds_of`)."""
        return weights_to_bytes(self.weights(), thresholds=self.thresholds)

    def end_at(self, epochs: int) -> None:
        """Ends after so many epochs, the rest of the schedule passed through until then (see course.py)."""
        self.course.end_at(epochs, epoch=self.epoch)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """(tensors, plain values): all that `restore` needs, as save_checkpoint takes it; between epochs."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()} | self.step.state()
        thresholds = {} if self.thresholds is None else {"thresholds": self.thresholds.tolist()}
        plain: dict[str, Any] = {"course": self.course.state()}
        if self.settings.schedule == "plateau":
            plain["plateau"] = self.plateau.state()
        return tensors, {"epoch": self.epoch, "seed": self.run.seed, **plain, **thresholds}

    def restore(self, tensors: dict[str, Tensor], extra: dict[str, Any]) -> Self:
        """Goes on where `state` was taken. Raises ValueError for a state of another network, recipe or seed."""
        if extra.get("seed") != self.run.seed:
            raise ValueError(f"the checkpoint has seed {extra.get('seed')}, this training {self.run.seed}")
        model = {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
        try:
            self.model.load_state_dict(model)
        except RuntimeError as error:
            raise ValueError(f"the checkpoint is of another network: {error}") from error
        self.step.restore(tensors)
        self.epoch = int(extra["epoch"])
        self.thresholds = np.array(extra["thresholds"]) if "thresholds" in extra else None
        if "course" in extra:
            self.course.restore(extra["course"])
        if "plateau" in extra:
            self.plateau = Plateau(**extra["plateau"])
        return self
