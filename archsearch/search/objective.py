"""One trial after another in one worker: the search's instructions, carried out by the trainer."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING

from archsearch.architecture.spec import Architecture
from archsearch.search.messages import GoOn, HandOver, Instruction, Report, ReportIn, Rest, Test, Train
from archsearch.space.settings import TrainingSettings

if TYPE_CHECKING:
    from archsearch.training.images import ImageSet
    from archsearch.training.loop import EpochMetrics, Training


class TrialWorker:
    """Holds the images and the trial in hand; nothing of one trial is left when the next begins."""

    def __init__(self, images: ImageSet, settings: TrainingSettings, *, threads: int) -> None:
        self._images, self._settings, self._threads = images, settings, threads
        self._number = 0
        self._training: Training | None = None
        self._epochs: Iterator[EpochMetrics] = iter(())

    def carry_out(self, instruction: Instruction) -> Report:
        """Does what it says. A failure of the trial is a report, never an exception."""
        number = getattr(instruction, "number", 0)
        try:
            match instruction:
                case Train():
                    self._begin(instruction)
                    return self._next_epoch()
                case GoOn() | HandOver() if self._training is None or number != self._number:
                    return Report(kind="lost", number=number, reason="the worker was started anew")
                case GoOn():
                    return self._next_epoch()
                case HandOver():
                    return self._hand_over()
                case Test():
                    return self._test(instruction)
                case ReportIn() | Rest():
                    return Report(kind="ready")
        except Exception as error:
            self._training = None
            return Report(kind="failed", number=number, reason=classify(error))

    def _begin(self, train: Train) -> None:
        from archsearch.network import build
        from archsearch.training.loop import Training

        self._training = None  # Frees the last trial's memory before the next one's is taken.
        network = build(Architecture.from_dict(dict(train.architecture)), seed=train.seed)
        self._training = Training(network, self._images, self._settings, seed=train.seed, threads=self._threads)
        self._number, self._epochs = train.number, iter(self._training)

    def _next_epoch(self) -> Report:
        metrics = next(self._epochs)
        return Report(kind="epoch", number=self._number, metrics=metrics.to_dict())

    def _hand_over(self) -> Report:
        from archsearch.training.checkpoint import weights_to_bytes

        assert self._training is not None
        weights = weights_to_bytes(self._training.model.state_dict())
        return Report(kind="weights", number=self._number, weights=weights)

    def _test(self, test: Test) -> Report:
        from archsearch.network import build
        from archsearch.training.checkpoint import weights_from_bytes
        from archsearch.training.loop import Training

        self._training = None
        network = build(Architecture.from_dict(dict(test.architecture)))
        network.load_state_dict(weights_from_bytes(test.weights))
        training = Training(network, self._images, self._settings, seed=0, threads=self._threads)
        result = training.evaluate("test")
        return Report(
            kind="tested",
            number=test.number,
            metrics={"test_accuracy": result.accuracy, "test_loss": result.loss, "images": result.images},
        )


def classify(error: Exception) -> str:
    """The reason that the ledger keeps: `oom`, `nan`, or the error in a line with where it was raised."""
    import torch

    from archsearch.training.loop import Diverged

    if isinstance(error, Diverged):
        return f"nan: {error}"
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error):
        return "oom: the trial ran out of memory"
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({frame.name}, line {frame.lineno})"[:500]
