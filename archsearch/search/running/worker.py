"""One trial after another in one worker: the search's instructions, carried out by the trainer."""

from __future__ import annotations

import json
import math
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from archsearch.architecture.spec import Architecture
from archsearch.reading.errors import InputError
from archsearch.search.deciding.messages import (
    Choose,
    GoOn,
    HandOver,
    Instruction,
    Measure,
    Report,
    ReportIn,
    Rest,
    Test,
    Train,
    Wait,
)
from archsearch.space.settings import TrainingSettings
from archsearch.training.devices import memory_in_use

if TYPE_CHECKING:
    from torch import Tensor

    from archsearch.data.images import ImageSet
    from archsearch.training.feeds.feed import Feed
    from archsearch.training.loop import EpochMetrics, Training

# As allocators say it that have no exception of their own: the CPU's, oneDNN's, the driver's, cuBLAS'.
OUT_OF_MEMORY = (
    "can't allocate memory",
    "std::bad_alloc",
    "could not create a primitive",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
DEVICE_LOST = "CUDA error"  # whatever else it says: nothing runs in this process any more
EXTRA = "extra.json"  # among a state's tensors: its plain values


class TrialWorker:
    """Holds the images and the trial in hand; nothing of one trial is left when the next begins.

    A training's state comes with an epoch's report once `save_every` seconds have passed since the last one.
    """

    def __init__(
        self, images: ImageSet, settings: TrainingSettings, *, threads: int, save_every: float = math.inf
    ) -> None:
        self._images, self._settings, self._threads = images, settings, threads
        self._save_every, self._save_at = save_every, math.inf
        self._feed: Feed | None = None
        self._number = 0
        self._train: Train | None = None
        self._pause: int | None = None
        self._training: Training | None = None
        self._epochs: Iterator[EpochMetrics] = iter(())

    def carry_out(self, instruction: Instruction) -> Report:
        """Does what it says. A failure of the trial is a report, never an exception, but where the process is of no
        further use: then it ends, and another takes its place."""
        number = getattr(instruction, "number", 0)
        try:
            match instruction:
                case Train():
                    began_anew = self._begin(instruction)
                    return replace(self._next_epoch(), reason=began_anew)
                case GoOn() | HandOver() if self._training is None or number != self._number:
                    return Report(kind="lost", number=number, reason="the worker was started anew")
                case GoOn(epochs=end):
                    if end is not None and self._training is not None:
                        self._training.end_at(end)
                        self._train = None
                    return self._next_epoch()
                case HandOver():
                    return self._hand_over()
                case Test():
                    return self._test(instruction)
                case Measure():
                    return self._measure(instruction)
                case Choose():
                    return self._choose(instruction)
                case ReportIn() | Wait() | Rest():
                    return Report(kind="ready")
        except Exception as error:
            reason = classify(error)
            if DEVICE_LOST in reason:
                raise
            self._training, self._epochs = None, iter(())
        forget_backward_pass()
        free_cached_memory()
        return Report(kind="failed", number=number, reason=reason)

    def carry_on(self, instruction: Instruction, *, seconds: float) -> list[Report]:
        """Does what it says and goes on with the trial's next epochs, until somebody has to decide (at a rung, at
        the end) or so many seconds have passed; the reports in order, at least one."""
        began = time.monotonic()
        reports = [self.carry_out(instruction)]
        while _goes_on(reports[-1]) and time.monotonic() - began < seconds:
            reports[-1] = replace(reports[-1], more=True)
            reports.append(self.carry_out(GoOn(number=reports[-1].number)))
        return reports

    def _measure(self, asked: Measure) -> Report:
        from archsearch.training.measuring.latency import measure

        self._training = None
        try:
            found = measure(
                Architecture.from_dict(dict(asked.architecture)),
                device=self._settings.device,
                batch=asked.batch,
                precision=asked.precision,
                threads=self._threads,
            )
        except Exception as error:
            return Report(kind="latency", digest=asked.digest, reason=classify(error))
        return Report(kind="latency", digest=asked.digest, latency=found.to_dict())

    def _choose(self, asked: Choose) -> Report:
        from archsearch.training.measuring.precision import choose_precision

        try:
            network = Architecture.from_dict(dict(asked.architecture))
            found = choose_precision(network, self._settings, threads=self._threads)
        except Exception as error:
            return Report(kind="precision", reason=classify(error))
        return Report(kind="precision", precision={**found.to_dict(), "text": str(found)})

    def _begin(self, train: Train) -> str | None:
        """Why the state that was given cannot be used: the trial then begins anew."""
        why, training = None, self._training if train.goes_on(self._train) else None
        if training is None or training.epoch != train.done:  # otherwise it paused here a moment ago
            self._training = training = None  # Frees the last trial's memory before the next one's is taken.
            training, why = self._restored(train)
        if train.epochs is not None:
            training.end_at(train.epochs)
        self._training, self._epochs = training, iter(training)
        self._train, self._number, self._pause = replace(train, state=None), train.number, train.pause
        self._save_at = time.monotonic() + self._save_every
        return why

    def _restored(self, train: Train) -> tuple[Training, str | None]:
        training = self._fresh(train)
        if train.state is None:
            return training, None
        try:
            return training.restore(*unpack(train.state)), None
        except (ValueError, KeyError) as error:  # half of the state may have been taken
            return self._fresh(train), f"its state cannot be used: {error}"[:500]

    def _fresh(self, train: Train) -> Training:
        from archsearch.network import build
        from archsearch.training.loop import Training
        from archsearch.training.run import TrainingRun

        run = TrainingRun(
            settings=self._settings_of(train),
            seed=train.seed,
            rungs=train.rungs,
            threads=self._threads,
            precision=train.precision,
        )
        network = build(Architecture.from_dict(dict(train.architecture)), seed=train.seed)
        return Training(network, self._images, run, feed=self._images_at_hand())

    def _settings_of(self, train: Train) -> TrainingSettings:
        settings = self._settings.with_overrides(train.training)
        return settings if train.micro_batch is None else settings.with_overrides({"micro_batch": train.micro_batch})

    def _images_at_hand(self) -> Feed:
        """Put on the device once, for all trials."""
        from archsearch.training.devices import resolve_device
        from archsearch.training.feeds.feed import feed_of

        if self._feed is None:
            self._feed = feed_of(self._images, self._settings, resolve_device(self._settings.device))
        return self._feed

    def _next_epoch(self) -> Report:
        metrics = next(self._epochs)
        assert self._training is not None
        pauses = metrics.epoch == self._pause
        state = pack(*self._training.state()) if pauses or self._is_time_to_save(metrics) else None
        self._save_at = self._save_at if state is None else time.monotonic() + self._save_every
        measured = {**metrics.to_dict(), **memory_in_use(self._training.device)}
        return Report(kind="rung" if pauses else "epoch", number=self._number, metrics=measured, parcel=state)

    def _is_time_to_save(self, metrics: EpochMetrics) -> bool:
        """Not after the last epoch, from which nobody goes on."""
        return metrics.epoch < metrics.epochs and time.monotonic() >= self._save_at

    def _hand_over(self) -> Report:
        from archsearch.training.checkpoint import weights_to_bytes

        assert self._training is not None
        weights = weights_to_bytes(self._training.weights())
        return Report(kind="weights", number=self._number, parcel=weights)

    def _test(self, test: Test) -> Report:
        from archsearch.network import build
        from archsearch.training.checkpoint import weights_from_bytes
        from archsearch.training.loop import Training
        from archsearch.training.run import TrainingRun

        self._training = None
        network = build(Architecture.from_dict(dict(test.architecture)))
        network.load_state_dict(weights_from_bytes(test.weights))
        run = TrainingRun(settings=self._settings, seed=0, threads=self._threads, precision=test.precision)
        training = Training(network, self._images, run, feed=self._images_at_hand())
        result = training.evaluate("test")
        return Report(
            kind="tested",
            number=test.number,
            metrics={"test_accuracy": result.accuracy, "test_loss": result.loss, "images": result.images},
        )


def forget_backward_pass() -> None:
    """Lets go of a backward pass that failed. What torch had still to do of it stays in the thread's queue, with the
    tensors that it needs, until the next one begins (pytorch/pytorch issue 82218): and that may not fit beside them."""
    import torch

    torch.autograd.backward(torch.zeros((), requires_grad=True))


def free_cached_memory() -> None:
    """Gives back what torch keeps of a GPU's memory for later: other trials share the GPU. Without one, nothing."""
    import torch

    torch.cuda.empty_cache()


def load_trainer() -> None:
    """Imports what training takes, torch above all, before a trial waits for it."""
    import safetensors.torch  # noqa: F401

    import archsearch.network
    import archsearch.training.checkpoint
    import archsearch.training.loop  # noqa: F401


def _goes_on(report: Report) -> bool:
    """Whether its trial's next epoch follows without a decision."""
    return report.kind == "epoch" and report.metrics is not None and report.metrics["epoch"] < report.metrics["epochs"]


def pack(tensors: dict[str, Tensor], extra: dict[str, Any]) -> bytes:
    """A training's state as one safetensors file, the plain values as JSON among its tensors."""
    import torch

    from archsearch.training.checkpoint import weights_to_bytes

    values = torch.frombuffer(bytearray(json.dumps(extra).encode()), dtype=torch.uint8)
    return weights_to_bytes({**tensors, EXTRA: values})


def unpack(data: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The inverse of `pack`. Raises ValueError (CheckpointDamaged) or KeyError for what is no state."""
    from archsearch.training.checkpoint import weights_from_bytes

    tensors = weights_from_bytes(data)
    return tensors, json.loads(bytes(tensors.pop(EXTRA).numpy()))


def classify(error: Exception) -> str:
    """The reason that the ledger keeps: `oom`, `nan`, `data`, or the error in a line with where it was raised."""
    import torch

    from archsearch.training.loop import Diverged

    if isinstance(error, Diverged):
        return f"nan: {error}"
    if isinstance(error, InputError):
        return f"data: {str(error).splitlines()[0]}"[:500]
    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError) or any(
        word in str(error) for word in OUT_OF_MEMORY
    ):
        return "oom: the trial ran out of memory"
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({frame.name}, line {frame.lineno})"[:500]
