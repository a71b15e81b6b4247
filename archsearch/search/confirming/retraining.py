"""Whole trainings, several at once, in processes of their own; each is a folder that an interrupted one goes on from.

No Ray: a confirmation is a fixed list of trainings, and what they share is on this machine.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context, parent_process
from typing import TYPE_CHECKING, Any, Literal, Protocol

from archsearch.experiment.objective import BY_ACCURACY, Objective
from archsearch.experiment.processes import keep_freed_memory, starting_processes
from archsearch.guests.either import unnamed
from archsearch.reading.errors import InputError
from archsearch.search.confirming.runs import Outcome, Run, images_of, parent_of
from archsearch.search.confirming.slots import Slots
from archsearch.search.deciding.messages import Report, Test, Tested, TrialFailed
from archsearch.shrinking.kept import KeptParent, taught
from archsearch.space.settings import DataSettings, TrainingSettings

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

    from archsearch.data.images import ImageSet
    from archsearch.data.splitting import Fold
    from archsearch.guests.parents import Parent
    from archsearch.training.run import TrainingRun

Task = Literal["train", "test"]
PATIENCE = 0.2  # seconds between looks at Ctrl-C


class WorkerDied(RuntimeError):
    """A process that trains was killed, perhaps for want of memory. What it has saved is kept."""


class RetrainingObserver(Protocol):
    """Whoever is told how the trainings go on."""

    def planned(self, runs: Sequence[Run], *, done: int, networks: int) -> None:
        """Called before the first run: the runs to come, how many are done already, and of how many networks all
        are."""

    def epoch(self, run: Run, epoch: int, value: float | None) -> None:
        """Called when a run has ended an epoch, with the search's metric on validation (None: no finite number)."""

    def ended(self, outcome: Outcome) -> None:
        """Called when a run has ended in this session."""


class Retraining:
    """A pool of processes that train and test runs, as a context manager. It starts them once there is work.

    Left by an exception, Ctrl-C among them, it stops each training at its next step and leaves no process behind.
    """

    def __init__(
        self,
        images: ImageSet,
        settings: TrainingSettings,
        slots: Slots,
        observer: RetrainingObserver,
        objective: Objective = BY_ACCURACY,
        parents: Sequence[KeptParent] = (),
        data: DataSettings | None = None,
    ) -> None:
        self._context, self._observer, self._objective = get_context("spawn"), observer, objective
        self._worker = _Worker(
            images=images,
            metric=objective.validation,
            settings=taught(settings, parents).model_copy(update={"device": slots.device}),
            slots=slots,
            stop=self._context.Event(),
            progress=self._context.SimpleQueue(),
            parents=parents,
            data=data,
        )
        self._digests: dict[tuple[tuple[int, ...], Fold | None], str] = {}
        self._pool: ProcessPoolExecutor | None = None
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._broken = False

    def __enter__(self) -> Retraining:
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.stop.set()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        if not self._broken:  # a process that was killed may have died with the queue's lock in its hand
            self._worker.progress.put(None)
            self._listener.join(timeout=5)

    def train(self, runs: Sequence[Run], *, limit: float = math.inf) -> Iterator[Outcome]:
        """Trains each run to its end, unless that was done before; yields outcomes as they come, and never looks at
        the test split. After `limit` seconds those that are not trained are stopped, and yield nothing.

        Raises WorkerDied; InputError and OSError from a training.
        """
        results = self._results(runs)
        todo = [run for run, result in results if result is None]
        networks = {run.contender.key for run in runs}
        self._observer.planned(todo, done=len(runs) - len(todo), networks=len(networks))
        yield from (Outcome(run=run, result=result) for run, result in results if result is not None)
        at_once = min(self._worker.slots.count, len(runs))
        most = self._worker.slots.shared_cores // max(1, at_once)
        for outcome in self._carry_out("train", todo, limit, most=most):
            self._observer.ended(outcome)
            yield outcome

    def test(self, runs: Sequence[Run]) -> Iterator[Outcome]:
        """Evaluates each run on the test split with the weights that `train` left, once in its life; yields
        outcomes."""
        results = self._results(runs)
        yield from (Outcome(run=run, result=result) for run, result in results if result and result["test"])
        yield from self._carry_out("test", [run for run, result in results if not (result and result["test"])])

    def examine(self, test: Test) -> Tested | TrialFailed:
        """Evaluates weights that no run left here, those of a trial, on the test split."""
        report = self._processes().submit(_examine, test).result()
        assert isinstance(report, Tested | TrialFailed)
        return report

    def _processes(self) -> ProcessPoolExecutor:
        with (
            starting_processes(),
            _interrupts_later(),
            _main_left_out(),
        ):  # a process inherits the former: Ctrl-C is the parent's
            self._pool = self._pool or ProcessPoolExecutor(
                self._worker.slots.count, mp_context=self._context, initializer=_begin, initargs=(self._worker,)
            )
            for _ in range(self._worker.slots.count):  # one starts with each task for which none is idle
                self._pool.submit(os.getpid)
        return self._pool

    def _results(self, runs: Sequence[Run]) -> list[tuple[Run, dict[str, Any] | None]]:
        return [(run, run.result(self._digest(run), self._worker.settings, self._objective)) for run in runs]

    def _digest(self, run: Run) -> str:
        key = run.contender.architecture.input, run.fold
        if key not in self._digests:
            self._digests[key] = images_of(self._worker.images, run).digest
        return self._digests[key]

    def _carry_out(
        self, task: Task, runs: Sequence[Run], limit: float = math.inf, *, most: int = 1
    ) -> Iterator[Outcome]:
        """The outcomes as they come; where each may have several threads, at most `most`, each measures how many."""
        if not runs:
            return
        pool, until = self._processes(), time.monotonic() + limit
        waiting: dict[Future[Outcome], Run] = {pool.submit(_work, task, run, most): run for run in runs}
        while waiting:
            if time.monotonic() > until:
                self._stop(waiting)
                return
            # With a time limit: a wait without one would hold a signal back on some systems.
            ended, _ = wait(waiting, timeout=PATIENCE, return_when=FIRST_COMPLETED)
            for future in ended:
                run = waiting.pop(future)
                try:
                    yield future.result()
                except BrokenProcessPool:
                    self._broken = True
                    raise WorkerDied(
                        f"the process that trained {run.contender.key} (or one running at the same time) was killed"
                    ) from None

    def _stop(self, waiting: Iterable[Future[Outcome]]) -> None:
        """Stops what is being trained, at its next step; the processes stay."""
        self._worker.stop.set()
        for future in waiting:
            future.cancel()
        wait(waiting)
        self._worker.stop.clear()

    def _listen(self) -> None:
        """Passes the processes' epochs on to the observer, until None comes."""
        while (progress := self._worker.progress.get()) is not None:
            self._observer.epoch(*progress)


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Ctrl-C waits until the block ends; processes that are started inside never receive it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _main_left_out() -> Iterator[None]:
    """Processes that are started inside do not import the main script, as Python has them do: they need nothing of it,
    and a script without a guard would confirm once more."""
    main = vars(sys.modules["__main__"])
    saved: dict[str, Any] = {name: main[name] for name in ("__file__", "__spec__") if name in main}
    main.update(dict.fromkeys(saved))
    try:
        yield
    finally:
        main.update(saved)


# ---- in the processes


class _Stopped(Exception):
    """Ends a training whose parent leaves."""


@dataclass(frozen=True, kw_only=True)
class _Worker:
    """What a process receives when it starts: `stop` is set where it has to end, `progress` is a queue of (run, epoch,
    value of the `metric`). Trials that are slices of one of the `parents` begin with its weights. result.json keeps the
    `data` settings of the images, for an export of the run."""

    images: ImageSet
    metric: str
    settings: TrainingSettings
    slots: Slots
    stop: Event
    progress: Any
    parents: Sequence[KeptParent]
    data: DataSettings | None


_worker: list[_Worker] = []  # one entry, in a process that trains


def _begin(worker: _Worker) -> None:
    _worker[:] = [worker]
    keep_freed_memory()
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    """Ends this process when its parent has died: a parent that was killed sends no message."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(task: Task, run: Run, most: int) -> Outcome:
    from archsearch.training.diagnosis import failure_of
    from archsearch.training.fit import evaluate_test, train_architecture
    from archsearch.training.run import TrainingRun

    worker = _worker[0]
    images = images_of(worker.images, run)
    training = TrainingRun(
        settings=worker.settings.with_overrides(run.contender.training),
        seed=run.seed,
        threads=None if most > 1 else worker.slots.threads,
        compiled=task == "train" and worker.slots.compiled,
    )
    if task == "test":
        return Outcome(run=run, result=evaluate_test(run.folder, images, training))
    try:
        result = train_architecture(
            unnamed(run.contender.architecture),
            images,
            training,
            run.folder,
            weights=parent_of(run) or _start_of(run, images, training),
            test=False,
            most_threads=most,
            data=worker.data and worker.data.at(run.contender.architecture.input),
            on_epoch=lambda metrics: worker.progress.put((run, metrics.epoch, metrics.to_dict().get(worker.metric))),
            on_step=partial(_stop_if_told, worker.stop),
        )
    except (_Stopped, InputError, OSError):
        raise
    except Exception as error:
        return Outcome(run=run, failed=str(failure_of(error)))
    if worker.metric.removeprefix("validation_") not in result["validation"]:
        return Outcome(run=run, failed=f"nan: the validation images do not define {worker.metric}")
    return Outcome(run=run, result=result)


def _start_of(run: Run, images: ImageSet, training: TrainingRun) -> Parent | None:
    """The weights that a trial inherits of the experiment's parents; None for initial values, with which all baselines
    begin."""
    if not (parents := _worker[0].parents) or run.contender.kind not in ("trial", "random"):
        return None
    from archsearch.shrinking.beginning import Parents

    return Parents(parents).start_of(unnamed(run.contender.architecture), images, training, run.folder)


def _examine(test: Test) -> Report:
    from archsearch.search.running.worker import TrialWorker

    worker = _worker[0]
    return TrialWorker(worker.images, worker.settings, threads=worker.slots.threads).carry_out(test)


def _stop_if_told(stop: Event, steps_done: int, steps: int) -> None:
    if stop.is_set():
        raise _Stopped
