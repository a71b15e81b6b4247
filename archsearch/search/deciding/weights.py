"""What a search keeps of its finished trials: the best one's weights; with several objectives, the Pareto front's."""

from __future__ import annotations

import hashlib
from contextlib import suppress

import numpy as np

from archsearch.architecture.spec import Architecture
from archsearch.experiment import ExperimentFolder, Ledger, Trial, TrialState, crash_point
from archsearch.experiment.layout import BEST, PREDICTIONS
from archsearch.experiment.pareto import front, objective_scores, undominated
from archsearch.experiment.records import spell
from archsearch.experiment.winner import Winner, winner_of
from archsearch.space.space import SearchSpace


class KeptWeights:
    """The weights of the best trial (of the Pareto front, with several objectives) in trials/ID/.

    They lie there from before the ledger calls the trial finished until a better one has finished.
    """

    def __init__(self, space: SearchSpace, folder: ExperimentFolder, ledger: Ledger) -> None:
        self._space, self._folder, self._ledger = space, folder, ledger
        self._objectives, self._objective = tuple(space.search.objectives), ledger.objective

    def takes(self, trial: Trial, value: float) -> bool:
        """Whether the weights of a running trial with this value of the objective would be kept."""
        if self._is_best(trial, value):
            return True
        if len(self._objectives) == 1:
            return False
        names, objective, finished = self._objectives, self._objective, self._ledger.trials(TrialState.FINISHED)
        rows = [objective_scores(rival, names, objective) for rival in finished]
        scores = np.array([objective_scores(trial, names, objective, value), *rows], np.float64)
        return bool(undominated(scores)[0])

    def keep(self, trial: Trial, value: float, weights: bytes) -> str:
        """Writes the trial's weights and architecture, and best.yaml where it is the best (best-of-search.yaml where
        another winner was chosen after the search). Returns the weights' SHA-256, for the ledger."""
        self._folder.make_trial(trial.number)
        self._folder.write(self._folder.weights(trial.number), weights)
        architecture = self._described(trial, value)
        self._folder.write(self._folder.model_yaml(trial.number), architecture)
        if self._is_best(trial, value):
            winner = winner_of(self._folder, self._ledger)
            beside = (
                winner is not None
                and winner.of != "search"
                and (winner.of == "confirm" or not self._objective.better(value, winner.value))
            )
            self._folder.write(self._folder.best_of_search if beside else self._folder.best_yaml, architecture)
        crash_point("weights-written")
        return hashlib.sha256(weights).hexdigest()

    def describe(self, winner: Winner) -> None:
        """Writes best.yaml of the winner: the search's best trial, or what lies beside the weights of another one."""
        if winner.of == "search":
            text = self._described(winner.trial, winner.value)
        else:
            text = self._folder.read_text(winner.weights.with_name(BEST))
        self._folder.write(self._folder.best_yaml, text)

    def tidy(self) -> None:
        """Deletes the weights of trials that a better one has replaced."""
        finished, best = self._ledger.trials(TrialState.FINISHED), self._ledger.best()
        keep = {best.number} if best else set()
        if len(self._objectives) > 1:
            keep |= {trial.number for trial in front(finished, self._objectives, self._objective)}
        for trial in finished:
            if trial.number not in keep:
                weights = self._folder.weights(trial.number)
                for path in (weights, weights.with_name(PREDICTIONS), self._folder.model_yaml(trial.number)):
                    with suppress(OSError):
                        path.unlink()

    def _is_best(self, trial: Trial, value: float) -> bool:
        """Whether `Ledger.best` will name the running trial, with this value: of equals that of the lowest number,
        whichever finishes first."""
        best, key = self._ledger.best(), self._objective.key
        return best is None or best.value is None or (key(value), -trial.number) > (key(best.value), -best.number)

    def _described(self, trial: Trial, value: float) -> str:
        head = (
            f"# {self._space.name}: trial {trial.id}, validation {self._objective.label} {value:.4f},\n"
            f"# {trial.cost['params']:,} parameters, {trial.cost['flops']:,} FLOPs (fvcore's total).\n"
        )
        if trial.training:
            head += f"# Trained with {spell(trial.training)}.\n"
        return head + Architecture.from_dict(dict(trial.architecture)).to_yaml()
