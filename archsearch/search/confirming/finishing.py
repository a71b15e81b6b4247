"""The end of a search: its best trained longer, as long as that pays, beside a plain residual network.

`search.finish` says how much time that may take. How many networks are trained, and for how many epochs, follows from
the seconds that an epoch took in the search, and is in the ledger before it begins. Which network is handed over is
chosen by the search's metric on validation, of equals the search's own; that is in the ledger before the test split is
looked at. Everything lies in EXPERIMENT/finish, and is gone on with where it was interrupted.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from archsearch.experiment import ExperimentFolder, Ledger, TrainingFolder, TrialState
from archsearch.experiment.objective import Objective
from archsearch.experiment.predictions import keep_of_run
from archsearch.experiment.winner import FINISH_TESTED, FINISHED, hand_over, winner_of
from archsearch.reading.durations import spell_duration
from archsearch.search.confirming.contenders import Contender, reference_network, top_of
from archsearch.search.confirming.foretold import seconds_an_epoch
from archsearch.search.confirming.retraining import Retraining, WorkerDied
from archsearch.search.confirming.runs import Outcome, Run, new_seeds
from archsearch.search.confirming.slots import slots_of
from archsearch.search.deciding.messages import Tested, TrialFailed
from archsearch.search.deciding.precision import KIND as PRECISION
from archsearch.search.deciding.testing import FinalTest
from archsearch.shrinking.kept import kept_parents
from archsearch.space.settings import TrainingSettings
from archsearch.space.space import SearchSpace

if TYPE_CHECKING:
    from archsearch.data.images import ImageSet
    from archsearch.search.deciding.observer import Observer

PLANNED = "finishing"  # of the ledger's notes: what is going to be trained
SHARE = 0.25  # of the search's time, with `auto`
FEWEST_TRIALS = 8  # of a search that `auto` finishes
LEAST_ROOM = 30.0  # seconds of training, below which `auto` leaves a search as it is
GAIN = 0.005  # that the best has gained since its last rung, at least, for `auto` to train longer;
GAIN_BY = 0.02  # of the value, where the metric is no share
START = 10.0  # seconds until processes train
MOST = 3  # networks that are trained longer
LONGEST, SEVERAL, SHORTEST = 3.0, 2.0, 1.5  # times the search's epochs: at most, for more than one network, at least
OVERRUN, PATIENCE = 1.5, 60.0  # times the seconds foretold (or so many more), after which the rest is left untrained
EMA = 0.99  # decay of the average of the weights, where the recipe has none
OFTEN = 10.0  # seconds between two lines on how far it is


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Which trials are trained anew, by their numbers, for how many epochs with which seed, and the seconds foretold
    for all of it."""

    trials: tuple[int, ...]
    epochs: int
    seed: int
    seconds: float


class Finishing:
    """The finishing of a search, for its session."""

    def begun(self, ledger: Ledger) -> bool:
        """Whether it was planned, and has not ended."""
        plans, verdicts = ledger.events_of(PLANNED), ledger.events_of(FINISHED)
        if not plans:
            return False
        if not verdicts or verdicts[-1].id < plans[-1].id:
            return True
        verdict = verdicts[-1]
        kinds = (FINISH_TESTED,) if verdict.data["of"] == "finish" else ("tested", "test_failed")
        looks = ledger.events_of(*kinds, trial=verdict.trial)
        return not looks or (verdict.data["of"] == "finish" and looks[-1].id < verdict.id)

    def plan(self, space: SearchSpace, ledger: Ledger) -> Plan | None:
        """What is to be trained now that the search has ended; None where nothing would be gained by it."""
        finish, search = space.search.finish, space.search
        best, epochs = ledger.best(), space.training.epochs
        if finish == "none" or best is None or best.value is None:
            return None
        if finish == "auto" and (search.wall_time is not None or search.trials < FEWEST_TRIALS):
            return None  # with a wall time the best have trained to their end as long as it lasts
        if finish == "auto" and not _still_gains(ledger, best.number, best.value):
            return None
        room = _time_for(space, ledger) - START
        if finish == "auto" and room < LEAST_ROOM:
            return None
        contenders = [c for c in top_of(ledger, space, MOST) if c.state == TrialState.FINISHED.value]
        for count in range(len(contenders), 0, -1):
            networks = _with_reference(space, contenders[:count])
            load = _makespan(_seconds(ledger, networks), slots_of(space, ledger).count)
            factor = min(LONGEST, room / (load * epochs)) if load else 0.0
            if factor >= (SEVERAL if count > 1 else SHORTEST):
                numbers = tuple(c.trial for c in networks if c.trial is not None)
                length = int(factor * epochs)
                return Plan(trials=numbers, epochs=length, seed=new_seeds(ledger, 1)[0], seconds=load * length + START)
        return None

    def pays(self, space: SearchSpace, ledger: Ledger) -> bool:
        """Whether there is something to be trained now that the search has ended."""
        return self.plan(space, ledger) is not None

    def carry_out(
        self, space: SearchSpace, folder: ExperimentFolder, ledger: Ledger, images: ImageSet, observer: Observer
    ) -> None:
        """Trains what is planned, or what is left of that, chooses, and looks at the test split once."""
        if not self.begun(ledger):
            plan = self.plan(space, ledger)
            if plan is None:
                return
            ledger.note(PLANNED, {**asdict(plan), "trials": list(plan.trials)})
        event = ledger.events_of(PLANNED)[-1].data
        plan = Plan(**{**event, "trials": tuple(event["trials"])})
        _Work(plan=plan, space=space, folder=folder, ledger=ledger, images=images, observer=observer).run()


def _time_for(space: SearchSpace, ledger: Ledger) -> float:
    """Seconds that `search.finish` gives."""
    finish, wall_time = space.search.finish, space.search.wall_time
    share = SHARE if finish == "auto" else float(finish)
    if wall_time is None:
        return share * ledger.driven_seconds()
    return max(share * wall_time, wall_time - ledger.driven_seconds())


def _limit(seconds: float) -> float:
    return max(OVERRUN * seconds, seconds + PATIENCE)


def _still_gains(ledger: Ledger, number: int, value: float) -> bool:
    """Whether the trial's last epochs, from its last rung on, were of use; True where it had no rung."""
    trial = ledger.trial(number)
    objective = ledger.objective
    before = [e.metrics.get(objective.validation) for e in ledger.epochs(number) if e.epoch == trial.rung]
    if not before or before[0] is None:
        return True
    return objective.gain(value, before[0]) >= (GAIN if objective.percent else GAIN_BY * abs(before[0]))


def _with_reference(space: SearchSpace, contenders: Sequence[Contender]) -> list[Contender]:
    reference = reference_network(space, contenders[0])
    return [*contenders, *([reference] if reference is not None else [])]


def _seconds(ledger: Ledger, networks: Sequence[Contender]) -> list[float]:
    """Seconds that an epoch of each takes: as in the search; of the reference network in proportion to its FLOPs, and
    no less than the first one's."""
    first = networks[0]
    seconds = []
    for network in networks:
        trial = network.trial if network.trial is not None else first.trial
        assert trial is not None
        factor = 1.0 if network.trial is not None else max(1.0, network.cost["flops"] / first.cost["flops"])
        seconds.append(factor * seconds_an_epoch(ledger.epochs(trial)))
    return seconds


def _makespan(seconds: Sequence[float], count: int) -> float:
    """The time until all are done, the longest first, `count` at once."""
    ends = [0.0] * max(1, count)
    for duration in sorted(seconds, reverse=True):
        ends[ends.index(min(ends))] += duration
    return max(ends)


@dataclass(kw_only=True)
class _Work:
    plan: Plan
    space: SearchSpace
    folder: ExperimentFolder
    ledger: Ledger
    images: ImageSet
    observer: Observer

    def run(self) -> None:
        contenders = [c for c in top_of(self.ledger, self.space, self.ledger.total) if c.trial in self.plan.trials]
        runs = [self._run(contender) for contender in _with_reference(self.space, contenders)]
        verdicts = self.ledger.events_of(FINISHED)
        last = verdicts[-1] if verdicts else None
        chosen = last is not None and last.id > self.ledger.events_of(PLANNED)[-1].id
        machine = slots_of(self.space, self.ledger)
        objective, parents = self.ledger.objective, kept_parents(self.folder, self.ledger)
        phases, settings = _Phases(self.observer, self.plan, objective), self._settings()
        with Retraining(self.images, settings, machine, phases, objective, parents, self.space.data) as retraining:
            if not chosen:
                self._choose(self._train(retraining, runs))
            self.observer.phase(f"measuring test {objective.label}")
            verdict = self.ledger.events_of(FINISHED)[-1]
            if verdict.data["of"] == "finish":
                winner = [run for run in runs if run.contender.trial == verdict.trial]
                for outcome in retraining.test(winner):
                    if outcome.result is not None and objective.name in outcome.result["test"]:
                        files, weights = TrainingFolder(outcome.run.folder), self.folder.finish.weights
                        keep_of_run(self.folder, self.ledger, files, outcome.result, weights, verdict.trial)
                        measured = {objective.test: objective.of_result(outcome.result["test"])}
                        self.ledger.note(FINISH_TESTED, measured, trial=verdict.trial)
            else:
                self._test_the_search_s_best(retraining)

    def _run(self, contender: Contender) -> Run:
        return Run(
            contender=contender,
            seed=self.plan.seed,
            folder=self.folder.finish.run(f"{contender.key}-e{self.plan.epochs}", self.plan.seed).path,
        )

    def _settings(self) -> TrainingSettings:
        settings = self.space.training
        return settings.with_overrides({"epochs": self.plan.epochs, "ema": settings.ema or EMA})

    def _train(self, retraining: Retraining, runs: Sequence[Run]) -> list[Outcome]:
        """What was trained to its end in time."""
        results: list[Outcome] = []
        try:
            results.extend(retraining.train(runs, limit=_limit(self.plan.seconds)))
        except WorkerDied as error:
            self.observer.phase(f"note: {error}; the best of the search is unchanged")
        return results

    def _choose(self, results: Sequence[Outcome]) -> None:
        """Writes the winner's files where it was trained here, then the verdict into the ledger."""
        own, objective = self.ledger.best(), self.ledger.objective
        assert own is not None and own.value is not None, "a search without a best is not finished"
        trained = [outcome for outcome in results if outcome.result and outcome.run.contender.kind == "trial"]
        best = max(trained, key=lambda outcome: objective.key(_value(outcome, objective)), default=None)
        rows = [_row(outcome, objective) for outcome in results]
        references = [row for row, outcome in zip(rows, results, strict=True)
                      if outcome.run.contender.kind == "baseline" and outcome.result]  # fmt: skip
        verdict: dict[str, Any] = {
            "of": "search", "winner": own.id, "epochs": own.epochs, "seed": own.seed, objective.validation: own.value,
            "weights": self.ledger.weights_digest(own.number), "beside": rows,
            "reference": references[0] if references else None,
        }  # fmt: skip
        number = own.number
        if best is not None and best.result is not None and objective.better(_value(best, objective), own.value):
            result, contender = best.result, best.run.contender
            number = contender.trial or 0
            self._write(contender, result)
            verdict |= {
                "of": "finish", "winner": contender.name, "epochs": result["epochs"], "seed": result["seed"],
                objective.validation: _value(best, objective), "weights": result["weights"]["sha256"],
            }  # fmt: skip
        self.ledger.note(FINISHED, verdict, trial=number)

    def _write(self, contender: Contender, result: Mapping[str, Any]) -> None:
        folder, files, objective = self.folder, self.folder.finish, self.ledger.objective
        file = files.run(f"{contender.key}-e{self.plan.epochs}", self.plan.seed).weights
        folder.write(files.weights, folder.read_weights(file, result["weights"]["sha256"]))
        head = (
            f"# {self.space.name}: trial {contender.name}, retrained for {result['epochs']} "
            f"epochs,\n# validation {objective.label} {objective.of_result(result['validation']):.4f}.\n"
        )
        name = f"{self.ledger.meta.get('name', folder.name)}-{contender.name}"
        text = head + contender.architecture.model_copy(update={"name": name}).to_yaml()
        folder.write(files.best_yaml, text)
        winner = winner_of(folder, self.ledger)
        if winner is None or winner.of != "confirm":
            hand_over(folder, text)

    def _test_the_search_s_best(self, retraining: Retraining) -> None:
        final = FinalTest(self.folder, self.ledger, enabled=True, tell=self.observer.phase)
        precisions = self.ledger.events_of(PRECISION)
        settled = self.space.training.precision
        precision = precisions[-1].data["precision"] if precisions else None if settled == "auto" else settled
        while (test := final.ask(precision)) is not None:
            match retraining.examine(test):
                case Tested() as report:
                    final.passed(report)
                case TrialFailed(number=number, failure=failure):
                    final.failed(number, failure)


def _value(outcome: Outcome, objective: Objective) -> float:
    """The metric on validation of a training that has ended."""
    assert outcome.result is not None
    return objective.of_result(outcome.result["validation"])


def _row(outcome: Outcome, objective: Objective) -> dict[str, Any]:
    contender, result = outcome.run.contender, outcome.result
    return {
        "name": contender.name, "kind": contender.kind, "digest": contender.digest,
        "flops": contender.cost["flops"], "params": contender.cost["params"],
        "epochs": result["epochs"] if result else None, "failed": outcome.failed,
        objective.validation: _value(outcome, objective) if result else None,
        "seconds": result["seconds"] if result else None,
    }  # fmt: skip


class _Phases:
    """Tells the search's observer how the trainings go on."""

    def __init__(self, observer: Observer, plan: Plan, objective: Objective) -> None:
        self._observer, self._plan, self._total, self._epochs = observer, plan, 0, dict[str, int]()
        self._objective = objective
        self._next = time.monotonic() + OFTEN

    def planned(self, runs: Sequence[Run], *, done: int, networks: int) -> None:
        """Tells how much is going to be trained."""
        self._total = len(runs)
        self._observer.phase(
            f"finishing: {len(runs)} trainings of {self._plan.epochs} epochs, about "
            f"{spell_duration(max(1.0, self._plan.seconds))} (search.finish: none skips this)"
        )

    def epoch(self, run: Run, epoch: int, value: float | None) -> None:
        """Tells now and then how many of the epochs are trained."""
        self._epochs[run.contender.key] = epoch
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + OFTEN
            share = sum(self._epochs.values()) / max(1, self._total * self._plan.epochs)
            self._observer.phase(f"finishing: {share:.0%} of {self._total} trainings")

    def ended(self, outcome: Outcome) -> None:
        """Tells what a training came to."""
        result = outcome.result
        text = f"validation {self._objective.text(_value(outcome, self._objective))}" if result else outcome.failed
        self._observer.phase(f"finishing: {outcome.run.contender.name}, {self._plan.epochs} epochs: {text}")
