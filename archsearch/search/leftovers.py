"""What a killed driver leaves on disk that nobody will ask for again: cleared away by the next one."""

from __future__ import annotations

from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.search.front import Front
from archsearch.search.states import States
from archsearch.space import SearchSpace


def clear_away(space: SearchSpace, folder: ExperimentFolder, ledger: Ledger) -> None:
    """Half-written files, states of trials that have ended or that the ledger does not know, weights of trials that
    were beaten.

    For a driver that holds the lock, before its search begins.
    """
    folder.sweep()
    states = States(folder, ledger)
    for trial in ledger.trials():
        if folder.trial(trial.number).is_dir():
            (states.drop if trial.state.ended else states.tidy)(trial.number)
    Front(space, folder, ledger).tidy()
