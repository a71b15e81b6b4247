"""The search itself: what a worker does next, and what its report means. No Ray here: the ledger is the truth,
and a `Search` made from it anew goes on where the last one was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from archsearch.experiment import ExperimentFolder, Failure, Ledger, Trial, TrialState
from archsearch.experiment.steady import steady
from archsearch.search.deciding import messages
from archsearch.search.deciding.candidates import Candidates
from archsearch.search.deciding.criteria import Criteria
from archsearch.search.deciding.failures import Failures
from archsearch.search.deciding.inheritance import Inheritance, note_untrained
from archsearch.search.deciding.observer import AfterCommit, Observer
from archsearch.search.deciding.precision import PrecisionChoice
from archsearch.search.deciding.rungs import Promotion, Rungs
from archsearch.search.deciding.states import States
from archsearch.search.deciding.testing import FinalTest
from archsearch.search.deciding.weights import KeptWeights
from archsearch.search.proposing.proposals import Candidate, derived_seed
from archsearch.search.proposing.samplers.faces import with_face
from archsearch.shrinking.kept import KeptParent
from archsearch.space.space import SearchSpace
from archsearch.study.storage import study_over


@dataclass(kw_only=True)
class Search:
    """One search in progress; `observer` is told of every change of a trial. Where workers share the driver's disk
    (`shares_disk`) they write and read states themselves; `lanes` is how many report now. Without `test` nobody looks
    at the test split; nor where `goes_on`, asked at the end, says that its best are trained further first: then it
    `hands_on`. Candidates that are slices of one of the `parents` begin with its weights."""

    space: SearchSpace
    folder: ExperimentFolder
    ledger: Ledger
    observer: Observer
    clock: Callable[[], float] = steady
    test: bool = True
    shares_disk: bool = False
    lanes: int = 1
    goes_on: Callable[[], bool] = lambda: False
    parents: tuple[KeptParent, ...] = ()
    hands_on: bool | None = None
    gave_up: str = ""
    _phase_told: bool = False

    def __post_init__(self) -> None:
        self.observer = AfterCommit(self.observer, self.ledger)
        self._objective = self.ledger.objective
        self.interrupted("the driver was restarted")
        self._candidates = Candidates(self.space, self.ledger, self.observer)
        self.study = study_over(self.folder, self.space, with_face(self._candidates.sampler, self.space))
        """The trials as Optuna's, a reading of the ledger as every other; with the sampler that proposes, if ours."""
        self._weights = KeptWeights(self.space, self.folder, self.ledger)
        self._inheritance = Inheritance(self.parents, self.ledger)
        stopping, epochs = self.space.search.early_stopping, self.space.training.epochs
        self._rungs = Rungs.of(stopping, epochs, self.ledger, self._inheritance.scored_untrained)
        self._states = States(self.folder, self.ledger, self.space.search.states, files=self.shares_disk)
        self._final_test = FinalTest(self.folder, self.ledger, enabled=self.test, tell=self.observer.phase)
        self._failures = Failures(self.space, self.ledger)
        self.precision = PrecisionChoice(self.space, self.ledger, self.observer)
        self._criteria = Criteria(self.space, self.ledger, self._rungs, clock=self.clock)

    def respond(self, report: messages.Report) -> messages.Instruction:
        """What the worker that sent this report does next. All that it makes the ledger say is one transaction, durable
        when this returns; so the worker is told nothing that a crash could take back."""
        with self.ledger.transaction():
            return self._answer(report)

    def _answer(self, report: messages.Report) -> messages.Instruction:
        match report:
            case messages.EpochTrained():
                return self._after_epoch(report) or self._next()
            case messages.RungReached():
                self._pause(*self._note_epoch(report))
            case messages.Untrained(number=number, metrics=metrics):
                self._pause(number, 0, note_untrained(self.ledger, number, metrics))
            case messages.Weights():
                self._keep(report)
            case messages.StateLost(number=number, epoch=epoch):
                self._states.discard(number, epoch)
                self.ledger.requeue(number, "its state was lost")
            case messages.Tested():
                self._final_test.passed(report)
            case messages.PrecisionMeasured() | messages.PrecisionFailed():
                self.precision.settle(report)
            case messages.LatencyMeasured() | messages.LatencyFailed():
                candidate = self._candidates.measured(report)
                return self._next() if candidate is None else self._begin(candidate)
            case messages.TrialFailed(number=number, failure=failure):
                self._failed(number, failure)
        return self._next()

    def prepare_next(self) -> None:
        """What can be done for the next trials before a lane waits for one: to be called once an answer is sent."""
        pending = self._candidates.pending
        if self.lanes > 1 and self._criteria.admits(None, pending=pending):
            self._candidates.prepare_next(self.ledger.total + pending + 1, lanes=self.lanes)

    def lost(self, instruction: messages.Instruction | None, failure: Failure) -> None:
        """The worker that carried this out is gone: crashed, hung or preempted. None: it had not reported yet."""
        match instruction:
            case (
                messages.Train(number=number)
                | messages.GoOn(number=number)
                | messages.HandOver(number=number)
                | messages.Test(number=number)
            ):
                self._failed(number, failure)
            case messages.Choose():
                self.precision.lost()
            case messages.Measure(identity=identity):
                self._candidates.lost(identity, failure)
            case None | messages.ReportIn() | messages.Wait() | messages.Rest():
                pass

    def interrupted(self, reason: str = "interrupted") -> None:
        """The driver leaves, or left: what runs waits for `resume`, and what is paused stays so."""
        for trial in self.ledger.trials(TrialState.RUNNING):
            self.ledger.requeue(trial.number, reason)

    def _after_epoch(self, report: messages.EpochTrained) -> messages.Instruction | None:
        """Writes the epoch down and decides; None where the trial has ended."""
        number, epoch, metrics = self._note_epoch(report)
        self._states.keep_within_limit(self._rungs.least_promising)
        self.observer.trial(self.ledger.trial(number), metrics)
        ends = epoch >= self._criteria.end(number)
        failure = self._failures.unmeasured(metrics) if ends else None
        if not report.more and (failure := self._failures.late(number) or failure) is not None:
            self._failed(number, failure)
            return None
        if ends:
            score = metrics[self._objective.validation]
            if self._weights.takes(self.ledger.trial(number), score):
                return messages.HandOver(number=number)
            self._end(number, lambda: self.ledger.finish(number, score))
            return None
        return messages.GoOn(number=number, epochs=None if report.more else self._criteria.moved(number, epoch))

    def _note_epoch(self, report: messages.EpochTrained | messages.RungReached) -> tuple[int, int, dict[str, float]]:
        """Writes an epoch, whose time is counted, and the state after it where one came, which is on disk before; the
        state before the last is deleted then. Returns (trial, epoch, metrics)."""
        number, epoch, metrics = report.number, int(report.metrics["epoch"]), dict(report.metrics)
        self._criteria.deadline.saw(number, metrics.get("seconds"))
        for kind, reason in (("state_lost", report.began_anew), ("no_graph", report.no_graph)):
            if reason is not None:
                self.ledger.note(kind, {"reason": reason}, trial=number)
        digest = None if report.state is None else self._states.take(number, epoch, report.state)
        self.ledger.epoch(number, epoch, metrics)
        if digest is not None:
            self.ledger.state_kept(number, epoch, digest)
            self.ledger.afterwards(lambda: self._states.tidy(number))
        return number, epoch, metrics

    def _pause(self, number: int, rung: int, metrics: dict[str, float]) -> None:
        """The trial waits at its rung, with its state on disk (none at rung 0); who cannot go on loses theirs."""
        if (failure := self._failures.unmeasured(metrics)) is not None:
            self._failed(number, failure)
            return
        score = metrics[self._objective.validation]
        self.ledger.pause(number, score, rung=rung, bracket=self._rungs.bracket(number))
        self._score(number, rung, score)
        if (behind := self._rungs.pushed_out(number, rung, self.space.search.trials)) is not None:
            self.ledger.afterwards(lambda: self._states.drop(behind))
        self._states.keep_within_limit(self._rungs.least_promising)
        trial = self.ledger.trial(number)
        self._candidates.learn(trial)
        self.observer.trial(trial, metrics)
        self.observer.trial(trial, None)

    def _score(self, number: int, epochs: int, score: float) -> None:
        """Records a score at a rung or at the end; the ledger keeps the correlations that it changes."""
        for rank in self._rungs.record(number, epochs, self._objective.key(score)):
            if rank.n:
                self.ledger.correlate(rank.rung, rank.value, rank.n, corrected=rank.corrected, bracket=rank.bracket)

    def _keep(self, report: messages.Weights) -> None:
        """Finishes the best trial so far: its weights are on disk before the ledger calls it finished."""
        number = report.number
        score = self.ledger.epochs(number)[-1].metrics[self._objective.validation]
        assert score is not None, "only a finite score asks for weights"
        digest = self._weights.keep(self.ledger.trial(number), score, report.weights)
        self._end(number, lambda: self.ledger.finish(number, score, weights=digest))
        self.ledger.afterwards(self._weights.tidy)

    def _failed(self, number: int, failure: Failure) -> None:
        """The trial waits for another worker, where it may be tried again; else it has failed. What was finished stays
        so, whatever befell its test."""
        if self._final_test.failed(number, failure):
            return
        if (retried := self._failures.retry(number, failure)) is not None:
            self.ledger.requeue(number, str(retried))
            self.observer.trial(self.ledger.trial(number), None)
        else:
            self._end(number, lambda: self.ledger.fail(number, str(failure)))

    def _end(self, number: int, write: Callable[[], None]) -> None:
        with self.ledger.transaction():
            write()
            trial = self.ledger.trial(number)
            if trial.state is TrialState.FINISHED and trial.value is not None:
                self._score(number, self.space.training.epochs, trial.value)
        self.ledger.afterwards(lambda: self._states.drop(number))
        self._candidates.learn(trial)
        self.observer.trial(trial, None)

    def _next(self) -> messages.Instruction:
        """What was begun goes first, then what is promoted, then what is new, as long as the criteria admit it. In the
        end one trial at least is trained in full, and those that are still paused are stopped."""
        if not self.precision.settled:
            return self.precision.ask(self._candidates.typical) or messages.Wait()
        if (waiting := self.ledger.first(TrialState.WAITING)) is not None:
            return self._train(waiting, final=waiting.rung > 0 and not self._criteria.fits_time(waiting))
        if (hopeless := self._failures.hopeless()) is not None:
            return self._give_up(hopeless)
        promotion, paused = self._rungs.promotion(), None
        if promotion is not None:
            paused = self.ledger.trial(promotion.trial)
            if self._criteria.admits(paused, pending=self._candidates.pending):
                return self._train(self._promote(promotion))
        if (new := self._propose()) is not None:
            return new
        if (finalist := self._criteria.finalist(paused)) is not None:
            return self._train_to_the_end(finalist)
        if self.ledger.has(TrialState.RUNNING) or self._candidates.pending:
            return messages.Wait()
        last = self._rungs.last_promotion()
        if last is not None and self._criteria.can_go_on(self.ledger.trial(last.trial)):
            return self._train(self._promote(last))
        self._stop_the_paused()
        self.hands_on = self.goes_on() if self.hands_on is None else self.hands_on
        return (None if self.hands_on else self._final_test.ask(self.precision.value)) or messages.Rest()

    def _give_up(self, message: str) -> messages.Instruction:
        """Ends the search once the trials that run have ended: one of them may succeed."""
        if self.ledger.has(TrialState.RUNNING):
            return messages.Wait()
        self.gave_up = message
        return messages.Rest()

    def _promote(self, promotion: Promotion) -> Trial:
        rank = self._rungs.correlation(promotion.bracket, promotion.rung)
        data = {"share": promotion.share, "correlation": rank.value, "corrected": rank.corrected, "n": rank.n}
        return self._leave_rung(promotion.trial, promotion.rung, data)

    def _leave_rung(self, number: int, rung: int, data: Mapping[str, Any]) -> Trial:
        self.ledger.promote(number, bracket=self._rungs.bracket(number), data=data)
        self._rungs.promote(number, rung)
        return self.ledger.trial(number)

    def _train_to_the_end(self, finalist: Trial) -> messages.Train:
        if not self._phase_told:
            self._phase_told = True
            self.observer.phase("the best trials so far are trained to the end in the remaining time")
        data = {"finalist": True, "epochs": self._criteria.planned_end(finalist)}
        return self._train(self._leave_rung(finalist.number, finalist.rung, data), final=True)

    def _train(self, trial: Trial, *, final: bool = False) -> messages.Train:
        """Starts a trial from its first epoch, or from its last whole state; a `final` one pauses no more."""
        number = trial.number
        done, state = self._states.latest(trial)
        self.ledger.start(number, resume_epoch=done)
        trial = self.ledger.trial(number)
        self.observer.trial(trial, None)
        pause = None if final else self._criteria.pause(trial)
        return messages.Train(
            number=number,
            attempt=trial.attempts,
            architecture=trial.architecture,
            seed=trial.seed,
            rungs=tuple(r for r in self._rungs.levels(number) if r and (pause is not None or r <= trial.rung)),
            pause=pause,
            parent=self._inheritance.parent(number),
            state=state,
            done=done,
            precision=self.precision.value,
            micro_batch=self._failures.micro_batch(number),
            epochs=self._criteria.begins(trial, done) if pause is None else None,
            overrides=self.space.trainings.overrides(trial.choices),
        )

    def _stop_the_paused(self) -> None:
        for trial in self.ledger.trials(TrialState.PAUSED):
            assert trial.value is not None
            self.ledger.stop(trial.number, trial.value, f"not promoted at the rung of {trial.rung} epochs")
            self._rungs.promote(trial.number, trial.rung)
            self.ledger.afterwards(partial(self._states.drop, trial.number))
            self.observer.trial(self.ledger.trial(trial.number), None)

    def _propose(self) -> messages.Instruction | None:
        """A new trial, or the measurement that decides whether a candidate becomes one."""
        if (measurement := self._candidates.remeasure()) is not None:
            return measurement
        pending = self._candidates.pending
        if not self._criteria.admits(None, pending=pending):
            return None
        match self._candidates.propose(self.ledger.total + pending + 1, lanes=self.lanes):
            case Candidate() as candidate:
                return self._begin(candidate)
            case measurement:
                return measurement

    def _begin(self, candidate: Candidate) -> messages.Train:
        """Proposes and starts a new trial, in one transaction: a lane waits for it."""
        number = self.ledger.total + 1
        self._candidates.begins(number, candidate)
        with self.ledger.transaction():
            trial = self.ledger.propose(
                choices=candidate.choices,
                architecture=candidate.architecture.to_dict(),
                digest=candidate.digest,
                cost=candidate.price.to_dict(),
                seed=derived_seed(self.space.search.seed, number),
            )
            return self._train(trial)
