"""Ray Tune runs the trials: the only file that imports Ray (after environment.py has settled what it reads).

Tune schedules one long-lived trainable (a lane) for each trial that may run at once, places it, and starts
it anew, here or on another node, when it dies. A lane imports torch and receives the images once, then trains
trial after trial, an epoch a step. The search's instructions reach it through the desk, a small actor, because
Tune's own way to give a worker new work (reusing its actor for another Tune trial) costs 0.2 s a trial.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import ray
from ray import tune
from ray.tune import Callback, FailureConfig, RunConfig, TuneConfig, Tuner
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from archsearch.search.desk import Desk
from archsearch.search.messages import Instruction, Report, ReportIn, Rest, Wait
from archsearch.search.objective import TrialWorker

if TYPE_CHECKING:
    from archsearch.search.search import Search
    from archsearch.space.settings import ResourceSettings
    from archsearch.training.images import ImageSet


LOSSES = 10


class RayFailed(RuntimeError):
    """Ray did not start, or nobody answers at the address."""


@contextmanager
def cluster(address: str | None, *, object_bytes: int) -> Iterator[None]:
    """A Ray of our own on this machine's loopback, or the running one at `address`; left behind as it was.

    Raises RayFailed. On a busy machine Ray's own processes may miss their deadlines: it is tried twice.
    """
    for attempt in (1, 2):
        try:
            _connect(address, object_bytes)
            break
        except Exception as error:
            ray.shutdown()
            if attempt == 2:
                reason = str(error).strip().split("\n")[0][:200]
                raise RayFailed(f"Ray did not start: {type(error).__name__}: {reason}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _connect(address: str | None, object_bytes: int) -> None:
    if address is not None:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        return
    ray.init(
        address="local",
        _node_ip_address="127.0.0.1",
        num_cpus=os.cpu_count(),
        object_store_memory=2 * object_bytes + 2**28,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
    )


def settle(resources: ResourceSettings, *, ours: bool) -> tuple[ResourceSettings, list[str]]:
    """What a trial gets of what there is, and what was settled otherwise than asked, in words.

    A trial that asks for more than any machine has would wait for ever. On a Ray of our own it gets what this
    machine has; of somebody's cluster too little is an error (RayFailed).
    """
    have, changes, notes = ray.cluster_resources(), dict[str, float](), []
    if resources.gpus_per_trial and not have.get("GPU"):
        changes["gpus_per_trial"] = 0.0
        notes.append(f"no GPU for gpus_per_trial: {resources.gpus_per_trial:g}; trials run on the CPU")
    if resources.cpus_per_trial > have.get("CPU", 1):
        changes["cpus_per_trial"] = max(1, int(have.get("CPU", 1)))
        notes.append(f"{changes['cpus_per_trial']:g} cores for cpus_per_trial: {resources.cpus_per_trial}")
    if notes and not ours:
        raise RayFailed(f"the cluster has {'; '.join(notes)}; set resources.gpus_per_trial and cpus_per_trial to fit")
    return resources.model_copy(update=changes), notes


def lanes_that_fit(resources: ResourceSettings, trials: int) -> int:
    """How many trials run at once on what the cluster has; at least one."""
    have = ray.cluster_resources()
    fits = int(have.get("CPU", 1) // resources.cpus_per_trial)
    if resources.gpus_per_trial:
        fits = min(fits, int(have.get("GPU", 0) / resources.gpus_per_trial))
    return max(1, min(fits, trials, resources.max_concurrent or fits))


def run_trials(
    search: Search, images: ImageSet, resources: ResourceSettings, *, workers_are_up: Callable[[], None]
) -> None:
    """Runs until every lane rests; `workers_are_up` is called once, at the first report. Needs a `cluster`.
    KeyboardInterrupt passes through."""
    settings = search.space.training
    desk = ray.remote(num_cpus=0)(Desk).remote()
    conductor = Conductor(search=search, desk=desk, workers_are_up=workers_are_up)
    storage = tempfile.mkdtemp(prefix="archsearch-tune-")
    lane = tune.with_resources(
        tune.with_parameters(Lane, desk=desk, images=images, settings=settings, threads=resources.cpus_per_trial),
        {"cpu": resources.cpus_per_trial, "gpu": resources.gpus_per_trial},
    )
    try:
        Tuner(
            lane,
            tune_config=TuneConfig(
                num_samples=lanes_that_fit(resources, search.space.search.trials),
                scheduler=Schedule(conductor),
            ),
            run_config=RunConfig(
                storage_path=storage,
                verbose=0,
                callbacks=[Losses(conductor)],
                failure_config=FailureConfig(max_failures=-1),
            ),
        ).fit()
    finally:
        shutil.rmtree(storage, ignore_errors=True)


class Lane(tune.Trainable):
    """One worker: takes an instruction, carries it out, reports. Tune calls `step` again and again."""

    def setup(self, config: dict[str, Any], desk: Any, images: ImageSet, settings: Any, threads: int) -> None:
        """Once for each process."""
        self._desk = desk
        self._worker = TrialWorker(images, settings, threads=threads)

    def step(self) -> dict[str, Any]:
        """One instruction, in general one epoch. Weights and states go by the desk, not through Tune's results."""
        report = self._worker.carry_out(ray.get(self._desk.take.remote(self.trial_id)))
        if report.parcel is not None:
            ray.get(self._desk.deliver.remote(report.number, report.parcel))
        return {"report": replace(report, parcel=None)}

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        """Tune asks when a lane ends; the ledger keeps what matters."""
        return {}

    def load_checkpoint(self, checkpoint: Any) -> None:
        """A lane that is started anew begins empty."""


@dataclass(kw_only=True)
class Conductor:
    """Between Tune's events, which all come in the driver's one thread, and the search.

    A lane for which there is nothing to do yet is left waiting at the desk: it is `idle`.
    """

    search: Search
    desk: Any
    workers_are_up: Callable[[], None]
    up: bool = False
    doing: dict[str, int] = field(default_factory=dict)
    idle: list[str] = field(default_factory=list)
    losses: int = 0

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles whatever it is given, for a restore that never comes: the ledger is what a search
        goes on from."""
        return {}

    def begin(self, lane: str) -> None:
        """A lane that Tune is about to start; what a dead one has not read is forgotten."""
        self.desk.give.remote(lane, ReportIn(), anew=True)

    def follow(self, lane: str, report: Report) -> bool:
        """Answers a lane's report, and whoever waited for one; False where nothing is left for the lane."""
        self.losses = 0
        if not self.up:
            self.up = True
            self.workers_are_up()
        if report.kind in ("weights", "rung"):
            report = replace(report, parcel=ray.get(self.desk.collect.remote(report.number)))
        instruction = self.search.respond(report)
        self.doing.pop(lane, None)
        if not isinstance(instruction, Rest):
            self._instruct(lane, instruction)
        self._wake()
        return not isinstance(instruction, Rest)

    def _instruct(self, lane: str, instruction: Instruction) -> None:
        if isinstance(instruction, Wait):
            self.idle.append(lane)
            return
        self.doing[lane] = getattr(instruction, "number", 0)
        self.desk.give.remote(lane, instruction)

    def _wake(self) -> None:
        """Asks again for the lanes that wait. One that is told to rest reports once more, and is then stopped."""
        waiting, self.idle = self.idle, []
        for lane in waiting:
            self._instruct(lane, self.search.respond(Report(kind="ready")))

    def lost(self, lane: str) -> None:
        """The lane's process is gone; Tune starts another. Raises RayFailed where none lives long enough to report."""
        self.losses += 1
        if self.losses > LOSSES:
            raise RayFailed(f"{LOSSES} workers in a row died before they reported anything")
        self.search.lost(self.doing.pop(lane, 0), "its worker died")
        self.idle = [other for other in self.idle if other != lane]
        self.begin(lane)
        self._wake()


class Schedule(FIFOScheduler):
    """Tune's scheduler: whatever a lane reports, the search answers."""

    def __init__(self, conductor: Conductor) -> None:
        super().__init__()
        self._conductor = conductor

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """A new lane."""
        self._conductor.begin(trial.trial_id)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """The lane goes on, or rests for good."""
        goes_on = self._conductor.follow(trial.trial_id, result["report"])
        return TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP


class Losses(Callback):
    """Tune's word that a lane died and is being started anew."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Its trial waits for a lane; this one begins with another."""
        self._conductor.lost(trial.trial_id)
