"""What becomes of a trial that failed, or whose worker died: it is tried again, or has failed; and when a search in
which nothing succeeds gives up. All is counted from the ledger, so that a new driver counts on.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from archsearch.experiment import Event, Failure, Ledger, Trial, TrialState
from archsearch.experiment.remarks import NONE_BEGAN
from archsearch.space.tasks import METRICS

if TYPE_CHECKING:
    from archsearch.space.space import SearchSpace

# Attempts in all, by the kind of failure. Others (nan, metric, data, an error of the program) would end the same way
# again; a preempted worker uses up none. A hung one has wasted its whole limit: once more is enough.
ATTEMPTS = {"crashed": 3, "hung": 2, "oom": 4}
LEFT_OUT = "left_out"  # of the ledger's notes: a node or a GPU, why, and the trials that were lost for it
GIVE_UP = 5  # trials that failed before any succeeded


class Failures:
    """Decides after each failure of a trial, from those that the ledger holds."""

    def __init__(self, space: SearchSpace, ledger: Ledger) -> None:
        self._space, self._ledger = space, ledger
        self._limit = space.search.trial_limit
        self._give_up_after = min(GIVE_UP, space.search.trials)

    def retry(self, number: int, failure: Failure) -> Failure | None:
        """The failure as the ledger keeps it of a trial that is tried again; None where the trial has failed."""
        if failure.kind == "preempted":
            return failure
        attempt = self._times(number, failure.kind) + 2
        if attempt > ATTEMPTS.get(failure.kind, 1):
            return None
        if failure.kind != "oom":
            return failure
        images = self._images_at_once(number) >> (attempt - 1)
        return (
            replace(failure, text=f"{failure.text}; trying again with {images} images per forward pass")
            if images
            else None
        )

    def late(self, number: int) -> Failure | None:
        """That the epochs of this trial took longer in all than `search.trial_limit`; None where they did not."""
        if self._limit is None:
            return None
        spent = sum(epoch.metrics["seconds"] or 0.0 for epoch in self._ledger.epochs(number))
        if spent <= self._limit:
            return None
        return Failure("late", f"{spent:.0f} s of training; search.trial_limit is {self._limit:.0f} s")

    def unmeasured(self, metrics: Mapping[str, float]) -> Failure | None:
        """That an epoch has no value of the search's metric, which its validation images do not define; None where it
        has one."""
        objective = self._ledger.objective
        if objective.validation in metrics:
            return None
        if objective.name not in METRICS:
            return Failure("metric", f"{objective.name} was no finite number on the validation images")
        return Failure("nan", f"the validation images do not define its {objective.label}")

    def micro_batch(self, number: int) -> int | None:
        """How many images a trial that ran out of memory now takes at once: half as many after each time. None: as
        the settings say."""
        times = self._times(number, "oom")
        return self._images_at_once(number) >> times if times else None

    def hopeless(self) -> str | None:
        """Why the search gives up: its first trials have all failed. None where it goes on."""
        # Asked at every step of a search: in a healthy one it costs a look-up.
        if self._ledger.has(TrialState.FINISHED, TrialState.STOPPED, TrialState.PAUSED):
            return None
        counts = self._ledger.counts()
        if counts.failed < self._give_up_after:
            return None
        return f"the first {counts.failed} trials failed; {commonest(self._ledger.trials(TrialState.FAILED))}"

    def _images_at_once(self, number: int) -> int:
        """As the trial's own settings say."""
        overrides = self._space.trainings.overrides(self._ledger.trial(number).choices)
        settings = self._space.training.with_overrides(overrides)
        return settings.micro_batch or settings.batch_size

    def _times(self, number: int, kind: str) -> int:
        pardoned = 0
        if kind in ("crashed", "hung"):  # what a node or a GPU did that is left out
            pardoned = sum(event.data["trials"].count(number) for event in self._ledger.events_of(LEFT_OUT))
        return max(0, times(self._ledger.events_of("requeued", trial=number), kind) - pardoned)


def times(events: Sequence[Event], kind: str) -> int:
    """How many of the events have a failure of this kind as their reason."""
    return sum(Failure.parse(event.data["reason"]).kind == kind for event in events)


def no_winner(ledger: Ledger) -> str:
    """Why a search has ended without a trained network."""
    failed = ledger.trials(TrialState.FAILED)
    return commonest(failed) if failed else "no trial finished" if ledger.total else NONE_BEGAN


def commonest(trials: Sequence[Trial]) -> str:
    """The kind of failure that most of the failed trials share, in one line: `4 of them such as t0001: nan: ...`."""
    failures = [Failure.parse(trial.reason or "failed") for trial in trials]
    kind = statistics.mode(failure.kind for failure in failures)
    alike = [trial for trial, failure in zip(trials, failures, strict=True) if failure.kind == kind]
    return f"{len(alike)} of them such as {alike[0].id}: {(alike[0].reason or 'failed').splitlines()[0]}"
