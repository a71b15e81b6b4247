"""What happened in a search: the ledger, its records, and the folder they live in."""

from archsearch.experiment.crash import crash_point
from archsearch.experiment.failure import Failure
from archsearch.experiment.files import write_atomically
from archsearch.experiment.folder import DriverRunning, ExperimentFolder, find, list_experiments
from archsearch.experiment.layout import ConfirmationFolder, TrainingFolder
from archsearch.experiment.ledger import IllegalTransition, Ledger
from archsearch.experiment.records import Counts, Epoch, Event, State, Trial, TrialState, number_of

__all__ = [
    "ConfirmationFolder",
    "Counts",
    "DriverRunning",
    "Epoch",
    "Event",
    "ExperimentFolder",
    "Failure",
    "IllegalTransition",
    "Ledger",
    "State",
    "TrainingFolder",
    "Trial",
    "TrialState",
    "crash_point",
    "find",
    "list_experiments",
    "number_of",
    "write_atomically",
]
