"""One trial after another in one worker: the search's instructions, carried out by the trainer."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from archsearch.architecture.spec import Architecture
from archsearch.experiment import ExperimentFolder, Failure, State
from archsearch.experiment.processes import set_gpu_allocator, set_waiting
from archsearch.search.deciding import states
from archsearch.search.deciding.messages import (
    Choose,
    EpochTrained,
    GoOn,
    HandOver,
    Instruction,
    LatencyFailed,
    LatencyMeasured,
    Measure,
    PrecisionFailed,
    PrecisionMeasured,
    Ready,
    Report,
    ReportIn,
    Rest,
    RungReached,
    StateLost,
    Test,
    Tested,
    Train,
    TrialFailed,
    TrialInstruction,
    Untrained,
    Wait,
    Weights,
)
from archsearch.space.settings import TrainingSettings
from archsearch.training.diagnosis import failure_of

if TYPE_CHECKING:
    from archsearch.data.images import ImageSet
    from archsearch.shrinking.beginning import Parents
    from archsearch.shrinking.kept import KeptParent
    from archsearch.training.feeds.feed import Feed
    from archsearch.training.loop import Training

DEVICE_LOST = "CUDA error"  # whatever else it says: nothing runs in this process any more


class TrialWorker:
    """Holds the images and the trial in hand; nothing of one trial is left when the next begins.

    A training's state comes with an epoch's report once `save_every` seconds have passed since the last one: as a file
    in `folder`, the experiment's, where that is on a disk that the driver shares; else as bytes.
    """

    def __init__(
        self,
        images: ImageSet,
        settings: TrainingSettings,
        *,
        threads: int,
        save_every: float = math.inf,
        folder: ExperimentFolder | None = None,
        parents: Sequence[KeptParent] = (),
    ) -> None:
        self._folder, self._images, self._settings = folder, images, settings
        self._threads, self._kept = threads, parents
        self._save_every, self._save_at = save_every, math.inf
        self._feeds: dict[tuple[int, int, int], Feed] = {}  # by the images' shape
        self._train: Train | None = None
        self._training: Training | None = None

    def carry_out(self, instruction: Instruction) -> Report:
        """Carries out an instruction. A failure is a report, never an exception, but where the process is of no further
        use: then it ends, and another takes its place."""
        match instruction:
            case ReportIn() | Wait() | Rest():
                return Ready()
            case Measure():
                return self._measure(instruction)
            case Choose():
                return self._choose(instruction)
        try:
            return self._work_on(instruction)
        except Exception as error:
            failure = failure_of(error)
            if DEVICE_LOST in failure.text:
                raise
            self._training = None
        release_memory()
        return TrialFailed(number=instruction.number, failure=failure)

    def carry_on(self, instruction: Instruction, *, seconds: float) -> list[Report]:
        """Carries out an instruction and goes on with the trial's next epochs, until a decision is needed (at a rung,
        at the end) or so many seconds have passed; the reports in order, at least one."""
        began, reports = time.monotonic(), list[Report]()
        while True:
            report = self.carry_out(instruction)
            match report:
                case EpochTrained(number=number, metrics=metrics) if metrics["epoch"] < metrics["epochs"]:
                    if time.monotonic() - began < seconds:
                        reports.append(replace(report, more=True))
                        instruction = GoOn(number=number)
                        continue
            return [*reports, report]

    def _work_on(self, instruction: TrialInstruction) -> Report:
        match instruction:
            case Train():
                try:
                    began_anew = self._begin(instruction)
                except states.Lost:
                    return StateLost(number=instruction.number, epoch=instruction.done)
                if instruction.pause == 0:
                    return Untrained(number=instruction.number, metrics=self._parents.untrained(self._training))
                return replace(self._next_epoch(), began_anew=began_anew)
            case Test():
                return self._test(instruction)
        training, train = self._training, self._train
        if training is None or train is None or train.number != instruction.number:
            failure = Failure("crashed", "the worker was restarted")
            return TrialFailed(number=instruction.number, failure=failure)
        match instruction:
            case HandOver(number=number):
                return _weights(number, training)
            case GoOn(epochs=end):
                if end is not None:
                    training.end_at(end)
                    self._train = replace(train, epochs=end)
                return self._next_epoch()

    def _measure(self, task: Measure) -> LatencyMeasured | LatencyFailed:
        self._training = None
        try:
            from archsearch.training.measuring.latency import measure

            latency = measure(
                Architecture.from_dict(dict(task.architecture)),
                device=self._settings.device,
                batch=task.batch,
                precision=task.precision,
                threads=self._threads,
            )
        except Exception as error:
            return LatencyFailed(identity=task.identity, failure=failure_of(error))
        return LatencyMeasured(identity=task.identity, latency=latency.to_dict())

    def _choose(self, task: Choose) -> PrecisionMeasured | PrecisionFailed:
        try:
            from archsearch.training.measuring.precision import choose_precision

            architecture = Architecture.from_dict(dict(task.architecture))
            chosen = choose_precision(architecture, self._settings, threads=self._threads)
        except Exception as error:
            return PrecisionFailed(failure=failure_of(error))
        return PrecisionMeasured(result={**chosen.to_dict(), "text": str(chosen)})

    def _begin(self, train: Train) -> str | None:
        """Takes a trial in hand. Returns why its state cannot be used, where the trial then begins anew. Raises Lost
        where the state's file is not what was written."""
        problem, training = None, self._training if train.goes_on(self._train) else None
        if training is None or training.epoch != train.done:  # otherwise it paused here a moment ago
            self._training = training = None  # Frees the last trial's memory before the next one's is taken.
            training, problem = self._restored(train)
        if train.epochs is not None:
            training.end_at(train.epochs)
        self._training = training
        self._train = replace(train, state=None)
        self._save_at = time.monotonic() + self._save_every
        return problem

    def _restored(self, train: Train) -> tuple[Training, str | None]:
        training = self._fresh(train)
        if train.state is None:
            return training, None
        try:
            from archsearch.training.checkpoint import unpack

            return training.restore(*unpack(self._bytes_of(train.state))), None
        except (ValueError, KeyError) as error:  # half of the state may have been taken
            return self._fresh(train), f"its state cannot be used: {error}"[:500]

    def _bytes_of(self, state: bytes | State) -> bytes:
        if isinstance(state, bytes):
            return state
        assert self._folder is not None, "a worker without the driver's disk gets bytes"
        return states.read(self._folder, state)

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
        architecture = Architecture.from_dict(dict(train.architecture))
        images = self._images.at(architecture.input)
        feed, network = self._feed_of(images), build(architecture, seed=train.seed)
        if not self._kept:
            return Training(network, images, run, feed=feed)
        return self._parents.training(train.parent, network, images, run, feed)

    @cached_property
    def _parents(self) -> Parents:
        from archsearch.shrinking.beginning import Parents

        return Parents(self._kept)

    def _settings_of(self, train: Train) -> TrainingSettings:
        settings = self._settings.with_overrides(train.overrides)
        return settings if train.micro_batch is None else settings.with_overrides({"micro_batch": train.micro_batch})

    def _feed_of(self, images: ImageSet) -> Feed:
        """The images, put on the device once for all trials whose networks see them at this size."""
        from archsearch.training.devices import resolve_device
        from archsearch.training.feeds.feed import feed_of

        if images.shape not in self._feeds:
            self._feeds[images.shape] = feed_of(images, self._settings, resolve_device(self._settings.device))
        return self._feeds[images.shape]

    def _next_epoch(self) -> EpochTrained | RungReached:
        assert self._training is not None and self._train is not None
        metrics = next(self._training)
        number, pauses, graph = self._train.number, metrics.epoch == self._train.pause, self._training.graph
        no_graph = None if graph is None else graph.note()
        from archsearch.training.devices import memory_in_use

        measured = {**metrics.to_dict(), **memory_in_use(self._training.device)}
        # Not after the last epoch, from which nobody goes on.
        if not pauses and (metrics.epoch >= metrics.epochs or time.monotonic() < self._save_at):
            return EpochTrained(number=number, metrics=measured, no_graph=no_graph)
        from archsearch.training.checkpoint import pack

        state = self._stored(number, metrics.epoch, pack(*self._training.state()))
        self._save_at = time.monotonic() + self._save_every
        report = RungReached if pauses else EpochTrained
        return report(number=number, metrics=measured, state=state, no_graph=no_graph)

    def _stored(self, number: int, epoch: int, state: bytes) -> bytes | State:
        """The state in a file; itself where there is no folder for it, or nothing can be written: the driver, which
        then tries, says why."""
        if self._folder is not None:
            with suppress(OSError):
                return states.write(self._folder, number, epoch, state)
        return state

    def _test(self, test: Test) -> Tested:
        from archsearch.network import build
        from archsearch.training.loop import Training
        from archsearch.training.recording import evaluated
        from archsearch.training.run import TrainingRun

        self._training = None
        architecture = Architecture.from_dict(dict(test.architecture))
        images = self._images.at(architecture.input)
        run = TrainingRun(settings=self._settings, seed=0, threads=self._threads, precision=test.precision)
        training = Training(build(architecture), images, run, feed=self._feed_of(images)).load(test.weights)
        result, recorded = evaluated(training)
        values = result.to_dict()
        metrics = {name if name == "images" else f"test_{name}": value for name, value in values.items()}
        return Tested(number=test.number, metrics=metrics, predictions=recorded)


def release_memory() -> None:
    """Lets go of a backward pass that failed, and gives back what torch keeps of a GPU's memory, graphs' pool included:
    other trials share it. What torch had still to do of the pass stays in the thread's queue, with the tensors that it
    needs, until the next one begins (pytorch/pytorch issue 82218): and that may not fit beside them."""
    import torch

    from archsearch.training.epoch.capture import forget_lanes

    torch.autograd.backward(torch.zeros((), requires_grad=True))
    forget_lanes()
    torch.cuda.empty_cache()


def device_problem() -> tuple[str | None, bool]:
    """Why this process cannot train on its GPU (None where it can), and whether the GPU has bfloat16."""
    from archsearch.training.devices import gpu_problem, gpus

    return gpu_problem(), all(gpu.bfloat16 for gpu in gpus())


def load_trainer() -> None:
    """Imports what training takes, torch above all, before a trial waits for it. A worker of somebody's Ray has the
    environment of that, so how its threads wait is set here too."""
    set_waiting()
    set_gpu_allocator()
    import safetensors.torch  # noqa: F401

    import archsearch.network
    import archsearch.training.checkpoint
    import archsearch.training.loop  # noqa: F401


def _weights(number: int, training: Training) -> Weights:
    return Weights(number=number, weights=training.packed_weights())
