"""The search itself: what a worker does next, and what its report means. No Ray here: the ledger is the truth,
and a `Search` made from it anew goes on where the last one was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from archsearch.architecture.spec import Architecture
from archsearch.experiment import ExperimentFolder, Ledger, Trial, TrialState, write_atomically
from archsearch.search.messages import GoOn, HandOver, Instruction, Report, Rest, Test, Train
from archsearch.search.proposals import Proposals, derived_seed
from archsearch.search.rungs import Rungs
from archsearch.space import SearchSpace

OBJECTIVE = "validation_accuracy"
CRASHES = 3  # A trial whose worker dies this often has failed.


class Watcher(Protocol):
    """Somebody who shows a search to a person."""

    def phase(self, text: str) -> None:
        """What the driver does before the first and after the last trial."""

    def trial(self, trial: Trial, metrics: Mapping[str, float] | None) -> None:
        """A trial changed; with an epoch's metrics if that was it."""


@dataclass(kw_only=True)
class Search:
    """One search in progress; `watcher` is told of every change of a trial."""

    space: SearchSpace
    folder: ExperimentFolder
    ledger: Ledger
    watcher: Watcher
    _crashes: dict[int, int] = field(default_factory=dict)
    _exhausted: bool = False
    _testing: bool = False

    def __post_init__(self) -> None:
        for trial in self.ledger.trials(TrialState.RUNNING):
            self.ledger.requeue(trial.number, "the driver was started anew")
        trials, epochs = self.ledger.trials(), self.ledger.epochs()
        self._proposals = Proposals(self.space, trials, self.ledger.rejections(), epochs)
        stopping = self.space.search.early_stopping
        self._rungs = Rungs(
            grace=stopping.grace_epochs if stopping.kind == "asha" else self.space.training.epochs,
            reduction=stopping.reduction,
            epochs=self.space.training.epochs,
        )
        for epoch in sorted(epochs, key=lambda e: e.time):
            score = epoch.metrics.get(OBJECTIVE)
            if score is not None:
                self._rungs.goes_on(epoch.trial, epoch.epoch, score)

    def respond(self, report: Report) -> Instruction:
        """What the worker that sent this report does next."""
        match report.kind:
            case "epoch":
                return self._after_epoch(report) or self._next()
            case "weights":
                self._keep(report)
            case "tested":
                assert report.metrics is not None
                self.ledger.note("tested", dict(report.metrics), trial=report.number)
            case "failed":
                self._failed(report)
            case "lost":
                self.lost(report.number, report.reason or "")
            case "ready":
                pass
        return self._next()

    def lost(self, number: int, reason: str) -> None:
        """The worker of this trial died. The trial waits for another, unless that happened too often."""
        if number == 0:
            return
        if self._testing and self.ledger.trial(number).state.ended:
            self.ledger.note("test_failed", {"reason": reason}, trial=number)
            return
        self._crashes[number] = self._crashes.get(number, 0) + 1
        if self._crashes[number] >= CRASHES:
            self._end(number, lambda: self.ledger.fail(number, f"crashed: {reason}"))
        else:
            self.ledger.requeue(number, reason)
            self.watcher.trial(self.ledger.trial(number), None)

    def interrupted(self) -> None:
        """The driver leaves: what runs waits for `resume`."""
        for trial in self.ledger.trials(TrialState.RUNNING):
            self.ledger.requeue(trial.number, "interrupted")

    def _after_epoch(self, report: Report) -> Instruction | None:
        """Writes the epoch down and decides; None where the trial has ended."""
        assert report.metrics is not None
        number, metrics = report.number, dict(report.metrics)
        epoch, score = int(metrics["epoch"]), metrics[OBJECTIVE]
        self.ledger.epoch(number, epoch, metrics)
        self.watcher.trial(self.ledger.trial(number), metrics)
        if epoch >= self.space.training.epochs:
            best = self.ledger.best()
            if best is None or best.value is None or score > best.value:
                return HandOver(number=number)
            self._end(number, lambda: self.ledger.finish(number, score))
            return None
        if self._rungs.goes_on(number, epoch, score):
            return GoOn(number=number)
        self._end(number, lambda: self.ledger.stop(number, score, f"behind at the rung of {epoch} epochs"))
        return None

    def _keep(self, report: Report) -> None:
        """The best so far: its weights are on disk before the ledger calls it finished."""
        assert report.weights is not None
        before, trial = self.ledger.best(), self.ledger.trial(report.number)
        score = self.ledger.epochs(report.number)[-1].metrics[OBJECTIVE]
        assert score is not None, "only a finite score asks for weights"
        if before is None or before.value is None or score > before.value:
            place = self.folder.trial(trial.number)
            place.mkdir(parents=True, exist_ok=True)
            write_atomically(place / "weights.safetensors", report.weights)
            self._write_best(trial, score)
            if before is not None:
                with suppress(OSError):
                    (self.folder.trial(before.number) / "weights.safetensors").unlink()
        self._end(trial.number, lambda: self.ledger.finish(trial.number, score))

    def _write_best(self, trial: Trial, score: float) -> None:
        network = Architecture.from_dict(dict(trial.architecture))
        head = (
            f"# Best of {self.space.name}: trial {trial.id}, validation accuracy {score:.4f},\n"
            f"# {trial.cost['params']:,} parameters, {trial.cost['flops']:,} FLOPs (fvcore's total).\n"
        )
        write_atomically(self.folder.best_yaml, head + network.to_yaml())

    def _failed(self, report: Report) -> None:
        if self._testing and self.ledger.trial(report.number).state.ended:
            self.ledger.note("test_failed", {"reason": report.reason}, trial=report.number)
        else:
            self._end(report.number, lambda: self.ledger.fail(report.number, report.reason or "failed"))

    def _end(self, number: int, write: Callable[[], None]) -> None:
        write()
        trial = self.ledger.trial(number)
        self._proposals.learn(trial, self.ledger.epochs(number))
        self.watcher.trial(trial, None)

    def _next(self) -> Instruction:
        waiting = self.ledger.trials(TrialState.WAITING)
        trial = waiting[0] if waiting else self._propose()
        if trial is not None:
            self.ledger.start(trial.number)
            trial = self.ledger.trial(trial.number)
            self.watcher.trial(trial, None)
            return Train(number=trial.number, attempt=trial.attempts, architecture=trial.architecture, seed=trial.seed)
        return self._test_winner() or Rest()

    def _propose(self) -> Trial | None:
        number = self.ledger.counts().total + 1
        if number > self.space.search.trials or self._exhausted:
            return None
        proposal = self._proposals.propose(number)
        if proposal is None:
            self._exhausted = True
            self.ledger.note("exhausted", {"trials": number - 1})
            return None
        with self.ledger.transaction():
            for refused in proposal.refused:
                self.ledger.reject(
                    choices=refused.choices,
                    violations=self.space.budget.violations(refused.cost),
                    cost=refused.cost.to_dict(),
                )
            candidate = proposal.candidate
            return self.ledger.propose(
                choices=candidate.choices,
                architecture=candidate.architecture.to_dict(),
                digest=candidate.digest,
                cost=candidate.cost.to_dict(),
                seed=derived_seed(self.space.search.seed, number),
            )

    def _test_winner(self) -> Test | None:
        """Once nothing runs any more, one worker tests the best; a search tests once in its life."""
        best = self.ledger.best()
        if self._testing or best is None or self.ledger.trials(TrialState.RUNNING) or self.tested():
            return None
        with suppress(OSError):
            weights = (self.folder.trial(best.number) / "weights.safetensors").read_bytes()
            self._testing = True
            return Test(number=best.number, architecture=best.architecture, weights=weights)
        return None

    def tested(self) -> bool:
        """Whether the test split was touched."""
        return any(event.kind in ("tested", "test_failed") for event in self.ledger.events())
