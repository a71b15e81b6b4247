"""One search's events, sent to one store: runs are created, described and settled."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from typing import Any

from archsearch.experiment import Event, ExperimentFolder, Ledger, Trial, TrialState, crash_point
from archsearch.experiment.winner import Winner, winner_of
from archsearch.tracking.analyses import send_analyses
from archsearch.tracking.dataset import DataSet, dataset_of
from archsearch.tracking.files import DESCRIPTION, description_of, files_of
from archsearch.tracking.outbox import Outbox, without_password
from archsearch.tracking.retrained import retrained
from archsearch.tracking.store import FoundRun, Store, lasting
from archsearch.tracking.translate import (
    BEST_TAG,
    EXPERIMENT_TAG,
    PARENT_STATUS,
    RETRAINED_TAG,
    SEARCH,
    STATE_TAG,
    TRIAL_TAG,
    Point,
    Update,
    costs,
    holding,
    milliseconds,
    params_of,
    points_of,
    score,
    updates,
)
from archsearch.tracking.view import shared_view

_log = logging.getLogger("archsearch.tracking")
_BATCH = 1000  # events


_STATUS_OF = {
    TrialState.FINISHED: "FINISHED",
    TrialState.STOPPED: "FINISHED",
    TrialState.FAILED: "FAILED",
    TrialState.RUNNING: "RUNNING",
    TrialState.WAITING: "SCHEDULED",
    TrialState.PAUSED: "SCHEDULED",
}


class Sender:
    """Sends one search's events to one store. Made anew after every failure: it first lists the store's runs."""

    def __init__(self, folder: ExperimentFolder, ledger: Ledger, outbox: Outbox, store: Store) -> None:
        self._folder, self._ledger, self._outbox, self._store = folder, ledger, outbox, store
        self._objective = ledger.objective
        self.refused: list[str] = []
        self._columns: set[str] = set()  # the parameters that the view shows
        self._dataset: DataSet | None = None
        self._id = outbox.identity(folder.ledger)
        self._name = str(ledger.meta.get("name") or folder.name)
        experiment = None if outbox.parent is None else store.experiment_of(outbox.parent)
        if experiment is None and outbox.parent is not None:
            _log.warning("the store has lost the search, so everything is sent again")
            outbox.forget()
        space = ledger.meta.get("space")
        former = space if isinstance(space, str) and space else self._name
        self._experiment = experiment or store.experiment(
            self._name, self._id, former=former, metric=ledger.objective.name
        )
        self._adopt()
        sent = (e for e in ledger.events_of("finished") if e.id <= outbox.cursor)
        self._top = max((self._objective.key(e.data["value"]) for e in sent), default=-math.inf)

    def send(self) -> int:
        """One batch of events; how many it held."""
        events = self._ledger.events(self._outbox.cursor, _BATCH)
        for update in [*updates(self._holding(events), self._objective), *self._records(events)]:
            self._deliver(update)
        if events:
            crash_point("points-sent")
            self._outbox.cursor = events[-1].id
            crash_point("cursor-moved")
        return len(events)

    def _holding(self, events: list[Event]) -> list[Event]:
        """The events without those that were superseded. A trial of which such were sent gets a run anew, and all its
        events again: MLflow takes no point back."""
        last = events[-1].id if events else 0  # the events of one trial are put behind the others' below
        for number in dict.fromkeys(event.trial for event in events if event.trial and self._goes_back(event)):
            history = [event for event in self._ledger.history(number) if event.id <= last]
            valid = holding(history)
            sent = self._outbox.cursor
            if sum(event.id <= sent for event in valid) < sum(event.id <= sent for event in history):
                self._delete_run(number)
                sent = 0
            events = [event for event in events if event.trial != number] + [e for e in valid if e.id > sent]
        return events

    def _goes_back(self, event: Event) -> bool:
        """Whether a trial may start again from an earlier epoch than it had trained: not at its promotion."""
        if event.kind != "started" or event.trial is None or self._ledger.trial(event.trial).attempts < 2:
            return False
        return event.data["resume_epoch"] == 0 or bool(
            self._ledger.events_of("requeued", "state_lost", trial=event.trial)
        )

    def _delete_run(self, number: int) -> None:
        recorded = self._outbox.run(number)
        if recorded is not None:
            if self._store.experiment_of(recorded[0]) is not None:
                self._store.delete(recorded[0])
            self._outbox.drop(number)

    def _records(self, events: list[Event]) -> list[Update]:
        """The value of trials that have finished, at their last epoch, and the curve of the best so far, over the
        trials' numbers."""
        changes = []
        for event in events:
            if event.kind == "finished" and event.trial:
                trial = self._ledger.trial(event.trial)
                changes.append(Update(trial=trial.number, points=score(trial, event.time, self._objective)))
                if (key := self._objective.key(event.data["value"])) > self._top:
                    self._top = key
                    record = points_of({self._best: event.data["value"]}, event.time, step=trial.number)
                    changes.append(Update(trial=SEARCH, points=record))
        return changes

    @property
    def _best(self) -> str:
        """MLflow's name of the best value so far."""
        return f"best_{self._objective.name}"

    def settle(self, *, driven: bool) -> None:
        """At the end of a session: the best is marked, files are sent, and no run stays RUNNING."""
        state = self._ledger.state
        if state == "running" and not driven:
            state = "interrupted"
        winner = winner_of(self._folder, self._ledger)
        best = winner.scored if winner is not None else None
        trials = {trial.number: trial for trial in self._ledger.trials()}
        self._adopt()
        for listed in list(self._store.runs(self._experiment, self._id)):
            if listed.trial == SEARCH:
                self._settle_search(state, winner, best, listed.metrics)
            elif listed.trial in trials:
                self._settle_trial(listed, trials[listed.trial], best)
        self._send_retrained()
        send_analyses(self._store, self._folder, experiment=self._experiment, search=self._id, parent=self._parent)

    def _send_retrained(self) -> None:
        """What was trained after the search, each once: a run that lacks something is sent again, point by point."""
        for training in retrained(self._folder, self._ledger):
            key = f"{self._id}/{training.key}"
            known = self._store.tagged(self._experiment, RETRAINED_TAG, key)
            started = known.started if known else training.ended - training.took
            points = training.points(ended := started + training.took)
            if known and known.status == "FINISHED" and all(point.key in known.metrics for point in points):
                continue
            tags = {RETRAINED_TAG: key, EXPERIMENT_TAG: self._id, "mlflow.parentRunId": self._parent}
            run = known.run if known else self._store.create(self._experiment, training.name, started, tags)
            crash_point("run-created")
            self._store.log(run, points=points, params=training.params, tags=training.tags)
            self._attach(run, training.architecture.to_dict())
            self._store.status(run, "FINISHED", ended)

    # ---- one run

    def _deliver(self, update: Update) -> None:
        try:
            if update.trial == SEARCH:
                run = self._parent
                self._store.log(run, points=update.points, tags=update.tags)
            else:
                run = self._log_trial(update)
            if update.status is not None:
                self._store.status(run, update.status, update.ended)
        except Exception as error:
            if not lasting(error):
                raise
            reason = in_a_line(error)
            _log.warning("the store refuses an update of trial %d: %s", update.trial, reason)
            self.refused.append(f"trial {update.trial}: {reason}" if update.trial else reason)

    def _log_trial(self, update: Update) -> str:
        """Logs into the trial's run, which is created and described when it is not yet."""
        recorded = self._outbox.run(update.trial)
        if recorded is not None and recorded[1]:
            self._store.log(recorded[0], points=update.points, tags=update.tags)
            return recorded[0]
        trial = self._ledger.trial(update.trial)
        run = recorded[0] if recorded is not None else self._create(trial)
        if not trial.choices.keys() <= self._columns:
            self._show()
        points = [*costs(trial), *update.points]
        self._store.log(run, points=points, params=params_of(trial), tags=update.tags)
        self._attach(run, trial.architecture)
        crash_point("run-described")
        self._outbox.keep(trial.number, run, described=True)
        return run

    def _attach(self, run: str, architecture: Mapping[str, Any]) -> None:
        """What a run of a training holds beside its figures: the network's files, and the data set."""
        for name, text in files_of(architecture).items():
            self._store.text(run, text, name)
        self._log_dataset(run)

    def _log_dataset(self, run: str) -> None:
        self._dataset = self._dataset or dataset_of(self._folder, self._ledger)
        if self._dataset is not None:
            self._store.dataset(run, self._dataset)

    def _create(self, trial: Trial) -> str:
        tags = {EXPERIMENT_TAG: self._id, TRIAL_TAG: str(trial.number), "mlflow.parentRunId": self._parent}
        started = milliseconds(trial.started or trial.created)
        label = self._ledger.meta.get("label")
        run = self._store.create(self._experiment, f"{label} {trial.id}" if label else trial.id, started, tags)
        crash_point("run-created")
        self._outbox.keep(trial.number, run, described=False)
        return run

    # ---- the whole

    def _adopt(self) -> None:
        """Finds the search's runs by their tags, creates the parent where there is none, bins second ones.

        A second one can only come of a request that seemed lost and was done after all.
        """
        parent = self._outbox.parent
        for listed in list(self._store.runs(self._experiment, self._id)):
            recorded = parent if listed.trial == SEARCH else (self._outbox.run(listed.trial) or (None,))[0]
            if recorded is not None and recorded != listed.run:
                if listed.trial == SEARCH or self._store.experiment_of(recorded) is not None:
                    _log.warning("run %s is trial %d a second time: deleted", listed.run, listed.trial)
                    self._store.delete(listed.run)
                    continue
                recorded = None
            if listed.trial == SEARCH:
                parent = listed.run
            elif recorded is None:
                self._outbox.keep(listed.trial, listed.run, described=False)
        if parent is None:
            tags = {EXPERIMENT_TAG: self._id, TRIAL_TAG: str(SEARCH)}
            started = milliseconds(self._ledger.meta["created"])
            parent = self._store.create(self._experiment, self._name, started, tags)
            crash_point("parent-created")
        self._parent = parent
        if self._outbox.parent != parent:
            self._show()
            if self._folder.space_yaml.is_file():
                self._store.text(parent, self._folder.read_text(self._folder.space_yaml), "space.yaml")
            self._outbox.remember(self._experiment, parent)

    def _show(self) -> None:
        """The search's view: its columns are those that the trials have."""
        trials = self._ledger.trials()
        self._columns = {key for trial in trials for key in trial.choices}
        view = shared_view(self._id, self._parent, trials, self._name, time.time(), self._objective)
        self._store.tag_experiment(self._experiment, f"mlflow.sharedViewState.{self._id}", view)

    def _settle_trial(self, listed: FoundRun, trial: Trial, best: Trial | None) -> None:
        run, at, paused = listed.run, trial.ended or time.time(), trial.state is TrialState.PAUSED
        target = _STATUS_OF[trial.state] if trial.state.ended or paused else "KILLED"
        if listed.status != target:
            self._store.status(run, target, None if paused else milliseconds(at))
        if not trial.state.ended:
            self._store.log(run, tags={STATE_TAG: "paused" if paused else "interrupted"})
        if trial.value is not None and self._objective.name not in listed.metrics:  # an earlier archsearch has sent it
            self._store.log(run, points=score(trial, at, self._objective))
        is_best, marked = best is not None and best.number == trial.number, BEST_TAG in listed.tags
        if is_best and not marked:
            self._store.log(run, tags={BEST_TAG: "true"})
        elif marked and not is_best:
            self._store.untag(run, BEST_TAG)

    def _settle_search(self, state: str, winner: Winner | None, best: Trial | None, sent: Mapping[str, float]) -> None:
        counts, last = self._ledger.counts(), self._ledger.last_event()
        now = self._ledger.events(last - 1, 1)[0].time if last else 0.0
        points: list[Point] = []
        figures = {
            "trials": counts.total,
            "finished": counts.finished,
            "paused": counts.paused,
            "stopped": counts.stopped,
            "failed": counts.failed,
            "rejected": counts.rejected,
        }
        tags = {STATE_TAG: state, DESCRIPTION: description_of(self._folder, self._ledger, winner)}
        if best is not None and best.value is not None:
            points = points_of({self._best: best.value}, now, step=counts.total)
            figures |= {f"best_{key}": value for key, value in best.cost.items()}
            tags |= {"archsearch.best_trial": best.id, "archsearch.best_digest": best.digest}
            tags |= {"archsearch.best_of": winner.of} if winner is not None else {}
        new = {key: value for key, value in figures.items() if sent.get(key) != value}
        self._store.log(self._parent, points=[*points, *points_of(new, now, step=0)], tags=tags)
        self._log_dataset(self._parent)
        for file in (self._folder.best_yaml, self._folder.space_yaml, self._folder.report):
            if file.is_file():
                self._store.text(self._parent, self._folder.read_text(file), file.name)
        self._show()
        self._store.status(self._parent, PARENT_STATUS.get(state, "RUNNING"), milliseconds(now))


def in_a_line(error: Exception) -> str:
    """An error's first line, without the password that an address in it may hold: MLflow's and urllib3's go on for
    pages."""
    return without_password((str(error).strip() or type(error).__name__).split("\n")[0])[:300]
