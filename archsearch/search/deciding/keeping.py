"""What a search keeps of its finished trials: the best one's weights; with several objectives, the Pareto front's."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from archsearch.architecture.spec import Architecture
from archsearch.experiment import ExperimentFolder, Ledger, Trial, TrialState, crash_point, write_atomically
from archsearch.experiment.pareto import front, objective_scores, undominated
from archsearch.experiment.records import spell
from archsearch.space import SearchSpace


class Front:
    """Weights lie in trials/ID/ from before the ledger calls a trial finished until a better one has finished."""

    def __init__(self, space: SearchSpace, folder: ExperimentFolder, ledger: Ledger) -> None:
        self._space, self._folder, self._ledger = space, folder, ledger
        self._objectives = tuple(space.search.objectives)

    def takes(self, trial: Trial, accuracy: float) -> bool:
        """Whether a trial with this validation accuracy would be among what is kept."""
        best = self._ledger.best()
        if best is None or best.value is None or accuracy > best.value:
            return True
        if len(self._objectives) == 1:
            return False
        others = [other for other in self._ledger.trials(TrialState.FINISHED) if other.number != trial.number]
        rows = [objective_scores(other, self._objectives) for other in others]
        scores = np.array([objective_scores(trial, self._objectives, accuracy), *rows], np.float64)
        return bool(undominated(scores)[0])

    def keep(self, trial: Trial, accuracy: float, weights: bytes) -> None:
        """Writes the trial's weights and network, and best.yaml where it is the most accurate."""
        best = self._ledger.best()
        self._folder.make_trial(trial.number)
        write_atomically(self._folder.weights(trial.number), weights)
        network = self._described(trial, accuracy)
        write_atomically(self._folder.model_yaml(trial.number), network)
        if best is None or best.value is None or accuracy > best.value:
            write_atomically(self._folder.best_yaml, network)
        crash_point("weights-written")

    def tidy(self) -> None:
        """The weights of trials that something better has replaced are deleted."""
        finished = self._ledger.trials(TrialState.FINISHED)
        best = self._ledger.best()
        kept = {best.number} if best else set()
        if len(self._objectives) > 1:
            kept |= {trial.number for trial in front(finished, self._objectives)}
        for trial in finished:
            if trial.number not in kept:
                for file in (self._folder.weights(trial.number), self._folder.model_yaml(trial.number)):
                    with suppress(OSError):
                        file.unlink()

    def _described(self, trial: Trial, accuracy: float) -> str:
        network = Architecture.from_dict(dict(trial.architecture))
        return (
            (
                f"# {self._space.name}: trial {trial.id}, validation accuracy {accuracy:.4f},\n"
                f"# {trial.cost['params']:,} parameters, {trial.cost['flops']:,} FLOPs (fvcore's total).\n"
            )
            + (f"# Trained with {spell(trial.training)}.\n" if trial.training else "")
            + network.to_yaml()
        )
