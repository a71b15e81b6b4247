"""Ray Tune runs the trials. Beside this file only lanes.py, cluster.py, nodes.py and prestart.py import Ray.

Tune schedules one long-lived trainable (a lane) for each trial that may run at once, on the node that lanes.py names;
in the place of one that dies another is asked for, there or on another node. A lane imports torch and receives the
images once, then trains trial after trial, some epochs a step. The search's instructions reach it as calls of its
actor: a Tune trial for each leg of a trial was built, and takes more code and CPU time (LOG.md, 2026-11-30).
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray import tune
from ray.exceptions import RayActorError
from ray.tune import FailureConfig, PlacementGroupFactory, RunConfig, TuneConfig, Tuner
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.stopper import Stopper

from archsearch.data.laid_out import laid_out
from archsearch.experiment import ExperimentFolder, crash
from archsearch.experiment.processes import keep_freed_memory
from archsearch.search.deciding.messages import Instruction, Report, ReportIn, Rest, Train, Wait
from archsearch.search.running.conductor import Conductor
from archsearch.search.running.environment import RayFailed
from archsearch.search.running.lanes import Lanes, NodePool
from archsearch.search.running.nodes import bundles_of, lanes_on
from archsearch.search.running.pace import pause_after, step_seconds
from archsearch.search.running.private import private_folder
from archsearch.search.running.sites import Site
from archsearch.search.running.watchdog import killed_after
from archsearch.search.running.worker import TrialWorker, device_problem, load_trainer

if TYPE_CHECKING:
    from archsearch.data.images import ImageSet
    from archsearch.search.deciding.search import Search
    from archsearch.shrinking.kept import KeptParent
    from archsearch.space.settings import ResourceSettings
    from archsearch.space.space import SearchSpace


NODE_DIED = "its node has died"  # Ray's words for an actor whose node is gone


def run_trials(
    search: Search, images: ImageSet, resources: ResourceSettings, pool: NodePool, *, workers_are_up: Callable[[], None]
) -> None:
    """Runs until nothing is left to do; `workers_are_up` is called once, at the first report. Needs a `cluster`;
    `pool` has those of its nodes that get lanes. Raises RayFailed and HeadGone; KeyboardInterrupt passes through."""
    space = search.space
    conductor = Conductor(search=search, workers_are_up=workers_are_up)
    lanes = lanes_on(pool.admitted(), resources, space.search.trials)
    pool.want(bundles_of(resources, space.search.trials))
    # A training that may be shortened at any epoch asks after each.
    seconds = step_seconds(lanes) if space.search.wall_time is None else 0.0
    parameters = {
        "images": laid_out(images, padding=space.training.crop_padding),
        "space": space,
        "threads": resources.threads,
        "device": resources.device,
        "share": resources.gpu_share,
        "seconds": seconds,
        "lanes": lanes,
        "folder": ExperimentFolder(search.folder.path.absolute()) if search.shares_disk else None,
        "parents": search.parents,
    }
    need = {"CPU": resources.threads, "GPU": resources.gpu_share}
    lane = tune.with_resources(tune.with_parameters(Lane, **parameters), lambda config: placed(need, config["node"]))
    # That lanes died is nothing that Tune need say once more at the end.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    with private_folder() as storage:
        Tuner(
            lane,
            tune_config=TuneConfig(
                num_samples=-1,  # as many as `Lanes` asks for
                search_alg=Lanes(conductor, pool, resources, search.space.search.trials),
                scheduler=Schedule(conductor, pool),
            ),
            run_config=RunConfig(
                storage_path=str(storage),
                verbose=0,
                progress_reporter=Silent(),
                failure_config=FailureConfig(max_failures=0),  # in a dead lane's place `Lanes` asks for another
                stop=WhenOver(conductor),
            ),
        ).fit()


def placed(need: dict[str, float], node: str) -> PlacementGroupFactory:
    """The placement of a lane: the resources that it needs, on the node of that id."""
    return PlacementGroupFactory([need], bundle_label_selector=[{"ray.io/node-id": node}])


class Lane(tune.Trainable):
    """One worker: carries out an instruction and reports, step after step, which Tune calls."""

    def setup(
        self,
        config: dict[str, Any],
        images: ImageSet,
        space: SearchSpace,
        threads: int,
        device: str,
        seconds: float,
        lanes: int,
        parents: Sequence[KeptParent],
        folder: ExperimentFolder | None = None,
        share: float = 1.0,
    ) -> None:
        """Prepares this process, one of `lanes`. A step takes no more than `seconds` unless one epoch does; states are
        written to the experiment's `folder`, where the driver has it on the same disk. `share` is that of a GPU."""
        os.environ.pop(crash.VARIABLE, None)  # that is the driver's
        load_trainer()
        keep_freed_memory()
        search = space.search
        settings = space.training.model_copy(update={"device": device})
        self._worker = TrialWorker(
            images, settings, threads=threads, save_every=search.checkpoint_every, folder=folder, parents=parents
        )
        self._seconds, self._limit = seconds, seconds + search.epoch_limit
        self._instruction: Instruction = ReportIn()
        self._waits, self._lanes = 0, lanes
        # What Ray gave it, and why that cannot be used: then the lane stays, for another would begin there.
        self._gpu = ",".join(map(str, ray.get_gpu_ids())) if device == "cuda" else ""
        self._problem, self._bfloat16 = device_problem() if device == "cuda" else (None, True)
        if device == "cuda" and self._problem is None:
            from archsearch.training.devices import limit_memory

            limit_memory(share)

    def tell(self, instruction: Instruction) -> None:
        """The driver's instruction for the next step; it arrives before Tune's own call of that step."""
        self._instruction = instruction

    def step(self) -> dict[str, Any]:
        """Carries out the instruction, and what follows from it without a decision. The first one is to report in."""
        instruction, self._instruction = self._instruction, ReportIn()
        if isinstance(instruction, Wait):
            time.sleep(pause_after(self._waits, self._lanes))
            self._waits += 1
        else:
            self._waits = 0
        with killed_after(self._limit):
            reports = self._worker.carry_on(instruction, seconds=self._seconds)
        device = {"gpu": self._gpu, "problem": self._problem, "bfloat16": self._bfloat16}
        return {"reports": StepReports(reports), **device}

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        """Saves nothing, though Tune asks for it when a lane ends: the ledger keeps what matters."""
        return {}

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Restores nothing: a lane that is started anew begins empty."""


@dataclass
class StepReports:
    """The reports of a step, to be taken once: Tune keeps each lane's last result, and weights should not live as
    long."""

    reports: list[Report]

    def take(self) -> list[Report]:
        """All reports; the second time none."""
        reports, self.reports = self.reports, []
        return reports


class Silent(tune.ProgressReporter):
    """Reports nothing: the search's observer shows it. In a notebook Tune's own would clear the cell's output."""

    def should_report(self, trials: Any, done: bool = False) -> bool:
        """Never."""
        return False

    def report(self, trials: Any, done: bool, *sys_info: str) -> None:
        """Does nothing: `should_report` forbids it."""


class Schedule(FIFOScheduler):
    """Tune's scheduler: whatever a lane reports, the search answers.

    No callback of Tune's does this: given one, Tune imports every logger that it knows, MLflow's among them (5 s).
    """

    def __init__(self, conductor: Conductor, pool: NodePool) -> None:
        super().__init__()
        self._conductor, self._pool = conductor, pool

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles whatever it is given, and nothing is ever restored from that."""
        return {}

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """The lane goes on, or rests for good. It is told before Tune calls its next step, by the same handle: calls of
        an actor keep their order."""
        site = replace(_site(trial), gpu=result["gpu"])
        instruction = self._conductor.follow(
            trial.trial_id, result["reports"].take(), site, result["problem"], bfloat16=result["bfloat16"]
        )
        if isinstance(instruction, Rest):
            return TrialScheduler.STOP
        actor = trial.temporary_state.ray_actor
        if actor is not None:  # otherwise it is gone, and Tune is about to say so
            actor.tell.remote(instruction)
        if isinstance(instruction, Train):
            self._conductor.search.prepare_next()
        return TrialScheduler.CONTINUE

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """The lane died: the search is told, and its trial waits for another lane."""
        preempted = _node_is_gone(trial) or self._pool.has_lost(trial.config["node"])
        try:
            self._conductor.lost(trial.trial_id, preempted=preempted, cause=_cause(trial), site=_site(trial))
        except RayFailed as error:
            self._conductor.failure = error  # raised here, Tune would make a page of it; `Lanes` raises it


class WhenOver(Stopper):
    """Ends what is left of the lanes when the search is over."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Never: the scheduler says when a lane stops."""
        return False

    def stop_all(self) -> bool:
        """Whether the search is over; Tune asks after each of its steps."""
        return self._conductor.over()


def _site(trial: Any) -> Site:
    """The node on which the lane was placed."""
    return Site(node=trial.config["node"], name=trial.config["name"])


def _node_is_gone(trial: Any) -> bool:
    """Whether the lane died with its node, or was taken away: nothing that the trial could help."""
    error = None
    with suppress(Exception):  # Tune keeps it as a pickle in its own folder
        error = trial.get_pickled_error()
    return isinstance(error, RayActorError) and (error.preempted or NODE_DIED in str(error))


def _cause(trial: Any) -> str:
    """What ended the lane, in a line; nothing where Tune cannot tell."""
    with suppress(Exception):  # Tune keeps the text in its own folder
        return last_line(Path(trial.error_file).read_text())
    return ""


def last_line(text: str) -> str:
    """Below the traceback of a worker that could not start stands what it raised."""
    lines = text.strip().splitlines()
    return lines[-1].strip()[:200] if lines else ""
