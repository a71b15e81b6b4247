"""The search itself: what a worker does next, and what its report means. No Ray here: the ledger is the truth,
and a `Search` made from it anew goes on where the last one was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from archsearch.experiment import ExperimentFolder, Ledger, Trial, TrialState
from archsearch.experiment.steady import steady
from archsearch.search.deciding.deadline import Finalists
from archsearch.search.deciding.failures import Failures
from archsearch.search.deciding.gate import Gate
from archsearch.search.deciding.keeping import Front
from archsearch.search.deciding.messages import GoOn, HandOver, Instruction, Report, Rest, Train, Wait
from archsearch.search.deciding.observer import AfterCommit, Observer
from archsearch.search.deciding.precision import PrecisionChoice
from archsearch.search.deciding.rungs import Promotion, Rungs
from archsearch.search.deciding.states import States
from archsearch.search.deciding.testing import FinalTest
from archsearch.search.proposing.proposals import Candidate, Proposals, derived_seed
from archsearch.search.proposing.warm_start import carried_results
from archsearch.space import SearchSpace

OBJECTIVE = "validation_accuracy"


@dataclass(kw_only=True)
class Search:
    """One search in progress; `observer` is told of every change of a trial. Without `test` nobody looks at the test
    split."""

    space: SearchSpace
    folder: ExperimentFolder
    ledger: Ledger
    observer: Observer
    clock: Callable[[], float] = steady
    test: bool = True
    gave_up: str = ""
    _exhausted: bool = False
    _told: bool = False

    def __post_init__(self) -> None:
        self.observer = AfterCommit(self.observer, self.ledger)
        for trial in self.ledger.trials(TrialState.RUNNING):
            self.ledger.requeue(trial.number, "the driver was started anew")
        self._gate = Gate(self.space, self.ledger)
        self._proposals = Proposals(
            self.space,
            self.ledger.trials_as_known(),
            self.ledger.epochs(),
            prior=carried_results(self.ledger),
            refused=self._gate.refused,
        )
        self._gate.teach(self._proposals.feasible)
        self._proposals.prepare()
        self._front = Front(self.space, self.folder, self.ledger)
        self._rungs = Rungs.of(self.space.search.early_stopping, self.space.training.epochs, self.ledger)
        self._states = States(self.folder, self.ledger)
        self._final_test = FinalTest(self.folder, self.ledger, wanted=self.test)
        self._failures = Failures(self.space, self.ledger)
        self._precision = PrecisionChoice(self.space, self.ledger, self.observer)
        self._finalists = Finalists(self.space, self.ledger, self._rungs, clock=self.clock)

    def respond(self, report: Report) -> Instruction:
        """What the worker that sent this report does next. All that it makes the ledger say is one transaction, durable
        when this returns; so the worker is told nothing that a crash could take back."""
        with self.ledger.transaction():
            return self._answer(report)

    def _answer(self, report: Report) -> Instruction:
        match report.kind:
            case "epoch" | "rung":
                return self._after_epoch(report) or self._next()
            case "weights":
                self._keep(report)
            case "tested":
                assert report.metrics is not None
                self._final_test.found(report.number, report.metrics)
            case "precision":
                self._precision.found(report.precision, report.reason)
            case "latency":
                return self._measured(report) or self._next()
            case "failed":
                self._failed(report.number, report.reason or "failed")
            case "lost":
                self.lost(report.number, f"crashed: {report.reason}")
            case "ready":
                pass
        return self._next()

    def lost(self, number: int, reason: str) -> None:
        """The worker of this trial is gone: crashed, hung or preempted, as `reason` begins. 0: it had no trial."""
        if number == 0:
            self._precision.lost()
        else:
            self._failed(number, reason)

    def not_measured(self, digest: str, reason: str) -> None:
        """The worker that measured this candidate (its identity) died."""
        if (final := self._gate.lost(digest, reason)) is not None:
            self._measured(final)

    def interrupted(self) -> None:
        """The driver leaves: what runs waits for `resume`, and what is paused stays so."""
        for trial in self.ledger.trials(TrialState.RUNNING):
            self.ledger.requeue(trial.number, "interrupted")

    def _after_epoch(self, report: Report) -> Instruction | None:
        """Writes the epoch down and decides; None where the trial has paused or ended."""
        assert report.metrics is not None
        number, metrics = report.number, dict(report.metrics)
        epoch, score = int(metrics["epoch"]), metrics[OBJECTIVE]
        self._finalists.deadline.saw(number, metrics.get("seconds"))
        if report.reason is not None:
            self.ledger.note("state_lost", {"reason": report.reason}, trial=number)
        if report.parcel is not None and report.kind == "rung":
            self._pause(number, epoch, metrics, report.parcel)
            return None
        self._write_epoch(number, epoch, metrics, report.parcel)
        self.observer.trial(self.ledger.trial(number), metrics)
        if not report.more and (late := self._failures.is_late(number)) is not None:
            self._failed(number, late)
            return None
        end = self._finalists.end(number)
        if epoch >= end:
            if self._front.takes(self.ledger.trial(number), score):
                return HandOver(number=number)
            self._end(number, lambda: self.ledger.finish(number, score))
            return None
        return GoOn(number=number, epochs=None if report.more else self._finalists.moved(number, epoch))

    def _write_epoch(self, number: int, epoch: int, metrics: dict[str, float], state: bytes | None) -> None:
        """With the training's state after it, where one came: on disk before the ledger knows of it."""
        digest = None if state is None else self._states.write(number, epoch, state)
        self.ledger.epoch(number, epoch, metrics)
        if digest is not None:
            self.ledger.state_kept(number, epoch, digest)
            self.ledger.afterwards(lambda: self._states.tidy(number))

    def _pause(self, number: int, epoch: int, metrics: dict[str, float], state: bytes) -> None:
        """The trial's state is on disk before the ledger calls it paused, and the one before goes after that."""
        score = metrics[OBJECTIVE]
        digest = self._states.write(number, epoch, state)
        self.ledger.epoch(number, epoch, metrics)
        self.ledger.state_kept(number, epoch, digest)
        self.ledger.pause(number, score, rung=epoch, bracket=self._rungs.bracket(number))
        self._score(number, epoch, score)
        self.ledger.afterwards(lambda: self._states.tidy(number))
        if (behind := self._rungs.pushed_out(number, epoch, self.space.search.trials)) is not None:
            self.ledger.afterwards(lambda: self._states.drop(behind))
        trial = self.ledger.trial(number)
        self._proposals.learn(trial, self.ledger.epochs(number))
        self.observer.trial(trial, metrics)
        self.observer.trial(trial, None)

    def _score(self, number: int, epochs: int, score: float) -> None:
        """A score at a rung or at the end; the ledger keeps the correlations that it changes."""
        for found in self._rungs.record(number, epochs, score):
            if found.n:
                self.ledger.correlate(
                    found.rung, found.value, found.n, corrected=found.corrected, bracket=found.bracket
                )

    def _keep(self, report: Report) -> None:
        """Of the best so far: its weights are on disk before the ledger calls it finished."""
        assert report.parcel is not None
        score = self.ledger.epochs(report.number)[-1].metrics[OBJECTIVE]
        assert score is not None, "only a finite score asks for weights"
        self._front.keep(self.ledger.trial(report.number), score, report.parcel)
        self._end(report.number, lambda: self.ledger.finish(report.number, score))
        self.ledger.afterwards(self._front.tidy)

    def _failed(self, number: int, reason: str) -> None:
        """The trial waits for another worker, where it may be tried again; else it has failed. What was finished stays
        so, whatever befell its test."""
        if self._final_test.failed(number, reason):
            return
        if (why := self._failures.again(number, reason)) is not None:
            self.ledger.requeue(number, why)
            self.observer.trial(self.ledger.trial(number), None)
        else:
            self._end(number, lambda: self.ledger.fail(number, reason))

    def _end(self, number: int, write: Callable[[], None]) -> None:
        with self.ledger.transaction():
            write()
            trial = self.ledger.trial(number)
            if trial.state is TrialState.FINISHED and trial.value is not None:
                self._score(number, self.space.training.epochs, trial.value)
        self.ledger.afterwards(lambda: self._states.drop(number))
        self._proposals.learn(trial, self.ledger.epochs(number))
        self.observer.trial(trial, None)

    def _next(self) -> Instruction:
        """What was begun goes first, then what is promoted, then what is new, as long as the finalists have their time
        after it. In the end one trial at least is trained in full, and what is left at the rungs is stopped."""
        if not self._precision.settled:
            return self._precision.ask(self._proposals.typical) or Wait()
        if (waiting := self.ledger.first(TrialState.WAITING)) is not None:
            return self._train(waiting, final=waiting.rung > 0 and not self._finalists.leave_time_for(waiting))
        if (hopeless := self._failures.hopeless()) is not None:
            return self._give_up(hopeless)
        promotion = self._rungs.promotion()
        in_time = promotion is None or self._finalists.leave_time_for(self.ledger.trial(promotion.trial))
        if promotion is not None and in_time:
            return self._train(self._promote(promotion))
        for_new = self._finalists.leave_time_for(None)
        if for_new and (new := self._propose()) is not None:
            return new
        if not (in_time and for_new) and (finalist := self._finalist()) is not None:
            return finalist
        if self.ledger.has(TrialState.RUNNING) or self._gate.pending:
            return Wait()
        last = self._rungs.last_promotion()
        if last is not None:
            return self._train(self._promote(last))
        self._stop_the_paused()
        return self._final_test.ask(self._precision.value) or Rest()

    def _give_up(self, why: str) -> Instruction:
        """Once the trials that run have ended: one of them may succeed."""
        if self.ledger.has(TrialState.RUNNING):
            return Wait()
        self.gave_up = why
        return Rest()

    def _promote(self, promotion: Promotion) -> Trial:
        number, bracket, rung = promotion.trial, promotion.bracket, promotion.rung
        why = self._rungs.correlation(bracket, rung)
        data = {"share": promotion.share, "correlation": why.value, "corrected": why.corrected, "n": why.n}
        self.ledger.promote(number, bracket=bracket, data=data)
        self._rungs.promote(number, rung)
        return self.ledger.trial(number)

    def _finalist(self) -> Train | None:
        chosen = self._finalists.choose()
        if chosen is None:
            return None
        if not self._told:
            self._told = True
            self.observer.phase("the best so far train to the end in the time that is left")
        number, rung = chosen.number, chosen.rung
        data = {"finalist": True, "epochs": self._finalists.deadline.end(number, rung)}
        self.ledger.promote(number, bracket=self._rungs.bracket(number), data=data)
        self._rungs.promote(number, rung)
        return self._train(self.ledger.trial(number), final=True)

    def _train(self, trial: Trial, *, final: bool = False) -> Train:
        """From its first epoch, or from its last whole state; a `final` one pauses no more."""
        number = trial.number
        done, state = self._states.latest(trial)
        self.ledger.start(number, resume_epoch=done)
        trial = self.ledger.trial(number)
        self.observer.trial(trial, None)
        pause = None if final else self._rungs.above(number, trial.rung)
        return Train(
            number=number,
            attempt=trial.attempts,
            architecture=trial.architecture,
            seed=trial.seed,
            rungs=tuple(level for level in self._rungs.levels(number) if not final or level <= trial.rung),
            pause=pause,
            state=state,
            done=done,
            precision=self._precision.value,
            micro_batch=self._failures.micro_batch(number),
            epochs=self._finalists.begins(number, done) if pause is None else None,
            training=self.space.trainings.overrides(trial.choices),
        )

    def _stop_the_paused(self) -> None:
        for trial in self.ledger.trials(TrialState.PAUSED):
            assert trial.value is not None
            self.ledger.stop(trial.number, trial.value, f"behind at the rung of {trial.rung} epochs")
            self._rungs.promote(trial.number, trial.rung)
            self.ledger.afterwards(partial(self._states.drop, trial.number))
            self.observer.trial(self.ledger.trial(trial.number), None)

    def _propose(self) -> Instruction | None:
        """A new trial, or the measurement that decides whether a candidate becomes one."""
        if self._gate.again:
            return self._gate.measure(self._gate.again.pop(0))
        number = self.ledger.total + len(self._gate.pending) + 1
        if number > self.space.search.trials or self._exhausted:
            return None
        candidate = self._proposals.propose(number)
        if candidate is None:
            self._exhausted = True
            self.ledger.note("exhausted", {"trials": number - 1})
            self.observer.phase(f"the space is used up: {number - 1} networks within the budget, and no other")
            return None
        candidate = self._gate.priced(candidate)
        return self._gate.ask(candidate) or self._begin(candidate)

    def _begin(self, candidate: Candidate) -> Train:
        """A new trial, proposed and started in one transaction: a lane waits for it."""
        number = self.ledger.total + 1
        self._proposals.begins(number, candidate)
        with self.ledger.transaction():
            trial = self.ledger.propose(
                choices=candidate.choices,
                architecture=candidate.architecture.to_dict(),
                digest=candidate.digest,
                cost=candidate.price.to_dict(),
                seed=derived_seed(self.space.search.seed, number),
            )
            return self._train(trial)

    def _measured(self, report: Report) -> Train | None:
        """The candidate becomes a trial if its latency keeps the budget."""
        asked, candidate = self._gate.pending[report.digest], self._gate.answer(report)
        self._gate.teach(self._proposals.feasible)
        if candidate is None:
            self._proposals.refuse(asked.digest)
        return None if candidate is None else self._begin(candidate)
