"""Training that yields its metrics: iterate it and get one EpochMetrics an epoch; stop iterating to stop."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from archsearch.reading.errors import refuse
from archsearch.space.settings import TrainingSettings
from archsearch.training import recipe
from archsearch.training.augmentation import Draws, Normaliser, Windows, as_pixels
from archsearch.training.freezing import Freeze, Frozen
from archsearch.training.images import ImageSet, SplitName
from archsearch.training.optimizer import Optimizer

Precision = Literal["float32", "bfloat16"]
PIXELS_AT_ONCE = 2**20  # of an evaluated batch: 1,024 images of 32x32


@dataclass(frozen=True, kw_only=True)
class EpochMetrics:
    """One epoch, counted from 1. Losses are means; the training's are taken on augmented images, smoothed.

    `learning_rate` is the last step's, `seconds` the whole epoch's, `images_per_second` training's alone.
    """

    epoch: int
    epochs: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    seconds: float
    images_per_second: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class TestMetrics:
    """A split's mean cross-entropy, the share of its images that are right, and how many it has."""

    __test__ = False  # no test of pytest's

    loss: float
    accuracy: float
    images: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


class Diverged(RuntimeError):
    """The training loss of an epoch (counted from 1) is no finite number."""

    def __init__(self, epoch: int, loss: float) -> None:
        super().__init__(epoch, loss)  # so that a worker's error can be pickled
        self.epoch, self.loss = epoch, loss

    def __str__(self) -> str:
        return f"the training loss is {self.loss} in epoch {self.epoch}; try a lower learning rate"


class Training:
    """Trains `model` on `images` by the recipe in `settings`; an iterator of EpochMetrics.

    The same seed gives the same metrics, bit for bit, on a CPU with as many threads. Every kind of draw has
    a generator of its own, seeded by (seed, purpose, epoch), so that a restored training goes on exactly as
    it would have; torch's global state is left as it was found.
    `threads` sets torch's threads, for the process. `precision` is float32 on a CPU, and bfloat16 (autocast)
    on a GPU that has it. `on_step(done, steps)` is called after every step. `freeze` says what does not train.
    At each of `rungs` (epochs, rising; those beyond the last do nothing) the learning rate has fallen to zero
    and starts anew, weights and momentum going on: a score taken there is that of a whole, shorter training.
    Raises InputError for a device that is not there, Diverged for a loss that is no finite number, ValueError
    for rungs that do not rise.
    """

    def __init__(
        self,
        model: nn.Module,
        images: ImageSet,
        settings: TrainingSettings,
        *,
        seed: int,
        device: str | torch.device | None = None,
        threads: int | None = None,
        precision: Precision | None = None,
        on_step: Callable[[int, int], None] | None = None,
        freeze: Freeze = "none",
        rungs: tuple[int, ...] = (),
    ) -> None:
        self.rungs = recipe.checked_rungs(rungs)
        if threads is not None:
            torch.set_num_threads(threads)
        self.device = resolve_device(device or settings.device)
        self.precision = precision or _usual_precision(self.device)
        self.model = model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.images, self.settings, self.seed, self.on_step = images, settings, seed, on_step
        self.frozen = Frozen(self.model, freeze)
        self.optimizer = Optimizer(self.model, settings)
        self.epoch = 0
        self.batch_size = min(settings.batch_size, len(images.train))
        self.steps = len(images.train) // self.batch_size
        self._normalise = Normaliser(images.mean, images.std, self.device)
        self._windows = Windows(images.train.images, self._normalise, settings, self.device)
        self._labels = torch.tensor(images.train.labels, device=self.device)
        self._evaluated: dict[SplitName, tuple[Tensor, Tensor]] = {}

    def __iter__(self) -> Iterator[EpochMetrics]:
        return self

    def __next__(self) -> EpochMetrics:
        if self.epoch >= self.settings.epochs:
            raise StopIteration
        start = time.perf_counter()
        with self._environment(self.epoch):
            loss, accuracy, rate = self._train_epoch(self.epoch)
        trained = time.perf_counter()
        self.epoch += 1
        if not math.isfinite(loss):
            raise Diverged(self.epoch, loss)
        validation = self.evaluate("validation")
        return EpochMetrics(
            epoch=self.epoch,
            epochs=self.settings.epochs,
            train_loss=loss,
            train_accuracy=accuracy,
            validation_loss=validation.loss,
            validation_accuracy=validation.accuracy,
            learning_rate=rate,
            seconds=time.perf_counter() - start,
            images_per_second=self.steps * self.batch_size / (trained - start),
        )

    def _train_epoch(self, epoch: int) -> tuple[float, float, float]:
        """(loss, accuracy, last rate). The device is waited for once, at the end."""
        model, settings, size = self.model, self.settings, self.batch_size
        count = self.steps * size
        order = torch.randperm(len(self._labels), generator=self._generator("order", epoch))[:count]
        augmentation = self._generator("augmentation", epoch)
        draws = Draws.draw(count, self.images.shape[1:], settings, augmentation).to(self.device)
        order = order.to(self.device, non_blocking=True)
        labels = self._labels[order]
        project = getattr(model, "project", None)
        losses, right, rate = *self._sums(), 0.0
        first, end = recipe.segment(epoch, settings.epochs, self.rungs)
        model.train()
        self.frozen.keep()
        for step in range(self.steps):
            part = slice(step * size, (step + 1) * size)
            rate = recipe.learning_rate(settings, (epoch - first) * self.steps + step, (end - first) * self.steps)
            with self._autocast():
                scores = model(self._windows.batch(order[part], draws[part]))
            loss = recipe.loss(scores, labels[part], settings.label_smoothing)
            torch.autograd.backward(loss)
            self.optimizer.step(rate)
            if project is not None:
                project()
            losses += loss.detach()
            right += (scores.detach().argmax(1) == labels[part]).sum()
            if self.on_step is not None:
                self.on_step(step + 1, self.steps)
        return losses.item() / self.steps, right.item() / count, rate

    @torch.inference_mode()
    def evaluate(self, split_name: SplitName) -> TestMetrics:
        """The split as it is: no augmentation, no smoothing, the model in eval mode."""
        pixels, labels = self._held(split_name)
        size = max(1, min(4 * self.batch_size, PIXELS_AT_ONCE // pixels[0, :, :, 0].numel()))
        loss, right = self._sums()
        self.model.eval()
        for part, wanted in zip(torch.split(pixels, size), torch.split(labels, size), strict=True):
            with self._autocast():
                scores = self.model(self._normalise(part))
            loss += recipe.loss(scores, wanted) * len(wanted)
            right += (scores.argmax(1) == wanted).sum()
        count = len(labels)
        return TestMetrics(loss=loss.item() / count, accuracy=right.item() / count, images=count)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """(tensors, plain values): all that `restore` needs, as save_checkpoint takes it; between epochs."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"optimizer.{name}": value for name, value in self.optimizer.state().items()}
        return tensors, {"epoch": self.epoch, "seed": self.seed}

    def restore(self, tensors: dict[str, Tensor], extra: dict[str, Any]) -> Self:
        """Goes on where `state` was taken. Raises ValueError for a state of another network or seed."""
        if extra.get("seed") != self.seed:
            raise ValueError(f"the checkpoint has seed {extra.get('seed')}, this training {self.seed}")
        model, optimizer = (
            {name.removeprefix(kind): value for name, value in tensors.items() if name.startswith(kind)}
            for kind in ("model.", "optimizer.")
        )
        try:
            self.model.load_state_dict(model)
        except RuntimeError as error:
            raise ValueError(f"the checkpoint is of another network: {error}") from error
        self.optimizer.restore(optimizer)
        self.epoch = int(extra["epoch"])
        return self

    def _held(self, name: SplitName) -> tuple[Tensor, Tensor]:
        """A split's pixels and labels on the device, put there when first asked for."""
        if name not in self._evaluated:
            split = self.images.split(name)
            self._evaluated[name] = (
                as_pixels(split.images, self.device),
                torch.tensor(split.labels, device=self.device),
            )
        return self._evaluated[name]

    def _sums(self) -> tuple[Tensor, Tensor]:
        """Of losses and of right answers, kept on the device so that no step waits for it."""
        return torch.zeros((), device=self.device), torch.zeros((), device=self.device, dtype=torch.int64)

    def _generator(self, purpose: str, epoch: int) -> torch.Generator:
        """On the CPU whatever the device, so that a GPU sees the same order and crops."""
        return torch.Generator().manual_seed(_seed(self.seed, purpose, epoch))

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    @contextmanager
    def _environment(self, epoch: int) -> Iterator[None]:
        """Draws inside the model: stochastic depth's generator, and torch's own (dropout), put back after."""
        seed_depth = getattr(self.model, "seed_stochastic_depth", None)
        if seed_depth is not None:
            seed_depth(self._generator("depth", epoch))
        with ExitStack() as stack:
            on_gpu = self.device.type == "cuda"
            stack.enter_context(torch.random.fork_rng(devices=[self.device] if on_gpu else []))
            torch.default_generator.manual_seed(_seed(self.seed, "model", epoch))
            if on_gpu:
                stack.enter_context(torch.cuda.device(self.device))
                torch.cuda.manual_seed(_seed(self.seed, "model", epoch))
                stack.enter_context(torch.backends.cudnn.flags(enabled=True, benchmark=True))
            yield


def resolve_device(name: str | torch.device) -> torch.device:
    """auto: a GPU where there is one. Raises InputError for a GPU that is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise refuse("training.device: cuda, but torch sees no GPU here", allowed="auto, cpu")
    return torch.device("cuda", torch.cuda.current_device()) if device == torch.device("cuda") else device


def _usual_precision(device: torch.device) -> Precision:
    return "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"


def _seed(seed: int, purpose: str, epoch: int) -> int:
    digest = hashlib.sha256(f"{seed}/{purpose}/{epoch}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
