"""The ledger as a storage of Optuna: read as it grows, never written."""

from __future__ import annotations

import threading
from collections.abc import Container
from pathlib import Path
from typing import Any, NoReturn

import optuna
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from archsearch.experiment import ExperimentFolder, Ledger, find
from archsearch.reading.errors import refuse
from archsearch.space.datasets import DataFacts
from archsearch.space.loading import load_space
from archsearch.space.space import SearchSpace
from archsearch.study.trials import Translation, duplicate

STUDY = 1  # the id of the only study that a storage holds


def optuna_study(experiment: str | Path | ExperimentFolder) -> optuna.Study:
    """The search of an experiment (its name, or its folder) as a study of Optuna, which follows the ledger while the
    search runs and cannot be written.

    Visualisation, importance, `trials_dataframe` and `best_trial` work as on any study. Raises InputError where there
    is no such experiment, and for whatever would write.
    """
    return _study(storage_of(experiment if isinstance(experiment, ExperimentFolder) else find(experiment)))


def study_over(folder: ExperimentFolder, space: SearchSpace, sampler: BaseSampler | None = None) -> optuna.Study:
    """The study of an experiment whose space is at hand."""
    return _study(LedgerStorage(folder, space), sampler)


def storage_of(folder: ExperimentFolder) -> LedgerStorage:
    """The storage of an experiment. Raises InputError where it cannot be read."""
    return LedgerStorage(folder, _space(folder))


def _study(storage: LedgerStorage, sampler: BaseSampler | None = None) -> optuna.Study:
    return optuna.load_study(study_name=storage.get_study_name_from_id(STUDY), storage=storage, sampler=sampler)


def _space(folder: ExperimentFolder) -> SearchSpace:
    """The experiment's space. Its images need not be there any more: a trial's network says their shape."""
    with Ledger.read(folder.ledger) as ledger:
        networks = [ledger.trial(1).architecture] if ledger.total else []
    data = [DataFacts(input=tuple(n["input"]), classes=n["classes"], task=None) for n in networks]
    return load_space(folder.space_yaml, data=data[0] if data else None)


class LedgerStorage(BaseStorage):
    """One experiment's trials, as `Translation` writes them.

    Each reading takes in what events have been written since the last one. Threads share the trials; each has a
    connection to the ledger. Every method that would write raises InputError.
    """

    def __init__(self, folder: ExperimentFolder, space: SearchSpace) -> None:
        self._folder, self._translation = folder, Translation(space)
        self._directions = [StudyDirection[f"{sense.upper()}IMIZE"] for sense in space.search.objectives.values()]
        names = list(space.search.objectives)
        self._system_attrs: dict[str, Any] = {"dashboard:objective_names": names}
        if len(names) > 1:
            self._system_attrs["study:metric_names"] = names
        self._lock, self._connection = threading.Lock(), threading.local()
        self._trials: list[FrozenTrial] = []
        self._event = 0  # the newest that was read
        with Ledger.read(folder.ledger) as ledger:
            self._name = str(ledger.meta.get("name", folder.name))
            self._user_attrs = {"folder": str(folder.path), "space": space.name, "experiment_id": ledger.id}

    def _read(self) -> list[FrozenTrial]:
        """All trials up to the newest event."""
        if not hasattr(self._connection, "ledger"):
            self._connection.ledger = Ledger.read(self._folder.ledger)
        ledger: Ledger = self._connection.ledger
        with self._lock:
            if ledger.last_event() > self._event:
                self._event, trials, curves = ledger.changes(ledger.objective.validation, self._event)
                for trial in trials:
                    frozen = self._translation.frozen(trial, curves.get(trial.number, {}))
                    self._trials[trial.number - 1 : trial.number] = [frozen]
            return list(self._trials)

    def close(self) -> None:
        """Lets go of this thread's connection to the ledger; the next reading opens another."""
        if hasattr(self._connection, "ledger"):
            self._connection.ledger.close()
            del self._connection.ledger

    remove_session = close

    def _check(self, study_id: int) -> None:
        if study_id != STUDY:
            raise KeyError(study_id)

    # ---- what Optuna reads

    def get_all_studies(self) -> list[FrozenStudy]:
        """The one study."""
        attributes = dict(self._user_attrs), dict(self._system_attrs)
        return [FrozenStudy(self._name, None, *attributes, STUDY, directions=self._directions)]

    def get_study_id_from_name(self, study_name: str) -> int:
        """Its id. Raises KeyError for another name than the experiment's."""
        if study_name != self._name:
            raise KeyError(study_name)
        return STUDY

    def get_study_name_from_id(self, study_id: int) -> str:
        """The experiment's name."""
        self._check(study_id)
        return self._name

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """One direction an objective, in the file's order."""
        self._check(study_id)
        return list(self._directions)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """The experiment's folder and id, and the search space's name."""
        self._check(study_id)
        return dict(self._user_attrs)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """The objectives' names, where Optuna and its dashboard look for them."""
        self._check(study_id)
        return dict(self._system_attrs)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """The trial of this id, which is its number. Raises KeyError where there is none."""
        trials = self._read()
        if not 0 <= trial_id < len(trials):
            raise KeyError(trial_id)
        return trials[trial_id]

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """The trials in these states by number; with `deepcopy` such that may be altered."""
        self._check(study_id)
        chosen = [trial for trial in self._read() if states is None or trial.state in states]
        return [duplicate(trial) for trial in chosen] if deepcopy else chosen

    # ---- what would write

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        hint = "`archsearch resume` continues the search; optuna.create_study makes a study that accepts trials"
        raise refuse(
            "the study of an experiment is read-only",
            hint=hint,
            file=str(self._folder.path),
        )

    create_new_study = delete_study = set_study_user_attr = set_study_system_attr = _refuse
    create_new_trial = set_trial_param = set_trial_state_values = set_trial_intermediate_value = _refuse
    set_trial_user_attr = set_trial_system_attr = _refuse
