"""One search's events, sent to one store: runs are created, described and settled."""

from __future__ import annotations

import logging
import math
import time

from archsearch.experiment import Event, ExperimentFolder, Ledger, Trial, TrialState, crash_point
from archsearch.experiment.winner import Winner, winner_of
from archsearch.tracking.files import DESCRIPTION, description_of, files_of
from archsearch.tracking.outbox import Outbox, without_password
from archsearch.tracking.retrained import RETRAINED_TAG, retrained
from archsearch.tracking.store import Store, lasting
from archsearch.tracking.translate import (
    BEST_TAG,
    EXPERIMENT_TAG,
    PARENT_STATUS,
    SEARCH,
    STATE_TAG,
    TRIAL_TAG,
    Point,
    Update,
    costs,
    holding,
    milliseconds,
    params_of,
    shared_view,
    updates,
)

_log = logging.getLogger("archsearch.tracking")
_BATCH = 1000  # events


_STATUS_OF = {
    TrialState.FINISHED: "FINISHED",
    TrialState.STOPPED: "KILLED",
    TrialState.FAILED: "FAILED",
    TrialState.RUNNING: "RUNNING",
    TrialState.WAITING: "SCHEDULED",
    TrialState.PAUSED: "SCHEDULED",
}


class Sender:
    """Sends one search's events to one store. Made anew after every failure: it first lists the store's runs."""

    def __init__(self, folder: ExperimentFolder, ledger: Ledger, outbox: Outbox, store: Store) -> None:
        self._folder, self._ledger, self._outbox, self._store = folder, ledger, outbox, store
        self.refused: list[str] = []
        self._id = outbox.identity(folder.ledger)
        self._name = str(ledger.meta.get("name") or folder.name)
        space = ledger.meta.get("space")
        self._experiment = store.experiment(space if isinstance(space, str) and space else self._name)
        if outbox.parent is not None and not store.exists(outbox.parent):
            _log.warning("the store has lost the search, so everything is sent again")
            outbox.forget()
        self._adopt()
        sent = (e for e in ledger.events_of("finished") if e.id <= outbox.cursor)
        self._top = max((e.data["value"] for e in sent), default=-math.inf)

    def send(self) -> int:
        """One batch of events; how many it held."""
        events = self._ledger.events(self._outbox.cursor, _BATCH)
        for update in [*updates(self._holding(events)), *self._records(events)]:
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
        """Whether a trial starts again where it may have trained further before: not at its promotion."""
        if event.kind != "started" or event.trial is None or self._ledger.trial(event.trial).attempts < 2:
            return False
        return event.data["resume_epoch"] == 0 or bool(self._ledger.events_of("requeued", trial=event.trial))

    def _delete_run(self, number: int) -> None:
        recorded = self._outbox.run(number)
        if recorded is not None:
            if self._store.exists(recorded[0]):
                self._store.delete(recorded[0])
            self._outbox.drop(number)

    def _records(self, events: list[Event]) -> list[Update]:
        """The curve of the best so far, over the trials' numbers."""
        points = []
        for event in events:
            if event.kind == "finished" and event.data["value"] > self._top:
                self._top = event.data["value"]
                at, number = milliseconds(event.time), event.trial or 0
                points.append(Point(key="best_accuracy", value=self._top, milliseconds=at, step=number))
        return [Update(trial=SEARCH, points=points)] if points else []

    def settle(self, *, driven: bool) -> None:
        """At the end of a session: the best is marked, files are sent, and no run stays RUNNING."""
        state = self._ledger.state
        if state == "running" and not driven:
            state = "interrupted"
        winner = winner_of(self._folder, self._ledger)
        best = winner.scored if winner is not None else None
        trials = {trial.number: trial for trial in self._ledger.trials()}
        self._adopt(best)
        for listed in list(self._store.runs(self._experiment, self._id)):
            if listed.trial == SEARCH:
                self._settle_search(state, winner, best)
            elif listed.trial in trials:
                self._settle_trial(listed.run, listed.status, trials[listed.trial], listed.tags, best)

        self._send_retrained()

    def _send_retrained(self) -> None:
        """What was trained after the search, each once: a run that is not finished is sent again, point by point."""
        for training in retrained(self._folder, self._ledger):
            key = f"{self._id}/{training.key}"
            known = self._store.tagged(self._experiment, RETRAINED_TAG, key)
            if known is not None and known[1]:
                continue
            tags = {**training.tags, RETRAINED_TAG: key, "mlflow.parentRunId": self._parent}
            run = known[0] if known else self._store.create(self._experiment, training.name, training.ended, tags)
            self._store.log(run, points=training.points)
            self._store.status(run, "FINISHED", training.ended)

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
        if trial.number == 1:
            self._show(trial)
        points = [*costs(trial), *update.points]
        self._store.log(run, points=points, params=params_of(trial), tags=update.tags)
        for name, text in files_of(trial).items():
            self._store.text(run, text, name)
        crash_point("run-described")
        self._outbox.keep(trial.number, run, described=True)
        return run

    def _create(self, trial: Trial) -> str:
        tags = {EXPERIMENT_TAG: self._id, TRIAL_TAG: str(trial.number), "mlflow.parentRunId": self._parent}
        started = milliseconds(trial.started or trial.created)
        label = self._ledger.meta.get("label")
        run = self._store.create(self._experiment, f"{label} {trial.id}" if label else trial.id, started, tags)
        crash_point("run-created")
        self._outbox.keep(trial.number, run, described=False)
        return run

    # ---- the whole

    def _adopt(self, best: Trial | None = None) -> None:
        """Finds the search's runs by their tags, creates the parent where there is none, bins second ones.

        A second one can only come of a request that seemed lost and was done after all.
        """
        parent = self._outbox.parent
        for listed in list(self._store.runs(self._experiment, self._id)):
            recorded = parent if listed.trial == SEARCH else (self._outbox.run(listed.trial) or (None,))[0]
            if recorded is not None and recorded != listed.run:
                if listed.trial == SEARCH or self._store.exists(recorded):
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
            self._show(best)
            if self._folder.space_yaml.is_file():
                self._store.text(parent, self._folder.read_text(self._folder.space_yaml), "space.yaml")
            self._outbox.remember(self._experiment, parent)

    def _show(self, example: Trial | None) -> None:
        """The search's view: its columns are those that a trial has."""
        view = shared_view(self._id, self._parent, example, self._name, time.time())
        self._store.tag_experiment(self._experiment, f"mlflow.sharedViewState.{self._id}", view)

    def _settle_trial(self, run: str, status: str, trial: Trial, tags: object, best: Trial | None) -> None:
        target = _STATUS_OF[trial.state] if trial.state.ended else "KILLED"
        marked = isinstance(tags, dict) and BEST_TAG in tags
        if status != target:
            self._store.status(run, target, milliseconds(trial.ended or time.time()))
        if not trial.state.ended:
            paused = trial.state is TrialState.PAUSED  # as it would be had nobody interrupted the search
            self._store.log(run, tags={STATE_TAG: "paused" if paused else "interrupted"})
        is_best = best is not None and best.number == trial.number
        if is_best and not marked:
            self._store.log(run, tags={BEST_TAG: "true"})
        elif marked and not is_best:
            self._store.untag(run, BEST_TAG)

    def _settle_search(self, state: str, winner: Winner | None, best: Trial | None) -> None:
        counts, last = self._ledger.counts(), self._ledger.last_event()
        now = milliseconds(self._ledger.events(last - 1, 1)[0].time) if last else 0
        figures: dict[str, float] = {
            "trials": counts.total,
            "finished": counts.finished,
            "paused": counts.paused,
            "stopped": counts.stopped,
            "failed": counts.failed,
            "rejected": counts.rejected,
        }
        tags = {STATE_TAG: state, DESCRIPTION: description_of(self._folder, self._ledger, winner)}
        if best is not None and best.value is not None:
            figures |= {"best_accuracy": best.value, **{f"best_{k}": v for k, v in best.cost.items()}}
            tags |= {"archsearch.best_trial": best.id, "archsearch.best_digest": best.digest}
            tags |= {"archsearch.best_of": winner.of} if winner is not None else {}
        points = [Point(key=k, value=float(v), milliseconds=now, step=counts.total) for k, v in figures.items()]
        self._store.log(self._parent, points=points, tags=tags)
        for file in (self._folder.best_yaml, self._folder.space_yaml, self._folder.report):
            if file.is_file():
                self._store.text(self._parent, self._folder.read_text(file), file.name)
        self._show(best)
        self._store.status(self._parent, PARENT_STATUS.get(state, "RUNNING"), now)


def in_a_line(error: Exception) -> str:
    """An error's first line, without the password that an address in it may hold: MLflow's and urllib3's go on for
    pages."""
    return without_password((str(error).strip() or type(error).__name__).split("\n")[0])[:300]
