"""Random search of an experiment's space at the experiment's own cost: what every search has to beat."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any, Protocol

from archsearch.experiment import ExperimentFolder, Ledger, Trial, TrialState, write_atomically
from archsearch.search.confirming.contenders import Contender, spent, top_of
from archsearch.space import SearchSpace, load_space

if TYPE_CHECKING:
    from archsearch.data.images import ImageSet
    from archsearch.search.deciding.observer import Observer

MOST_TRIALS = 1_000_000  # that search.trials allows


class RandomSearchObserver(Protocol):
    """Whoever shows a random search to a person."""

    def phase(self, text: str) -> None:
        """Shows what is done now."""

    def searching(self, space: SearchSpace, folder: ExperimentFolder) -> AbstractContextManager[Observer]:
        """The search's own observer, for as long as the block lasts."""


class EpochsSpent(KeyboardInterrupt):
    """A search has used up the epochs that it was given: it ends as one that a person interrupts does."""


class EpochLimit:
    """An observer that ends its search once the trials together have had `limit` epochs.

    What follows from the last of them is still written down; with several workers the epochs in progress are lost.
    """

    def __init__(self, inner: Observer, limit: int, trials: Iterable[Trial] = ()) -> None:
        self._inner, self._limit = inner, limit
        self._epochs = {trial.number: trial.epochs for trial in trials}

    @property
    def spent(self) -> int:
        """Epochs so far."""
        return sum(self._epochs.values())

    def phase(self, text: str) -> None:
        """See Observer."""
        self._inner.phase(text)

    def trial(self, trial: Trial, metrics: Mapping[str, float] | None) -> None:
        """See Observer. Raises EpochsSpent."""
        self._inner.trial(trial, metrics)
        before = self.spent
        self._epochs[trial.number] = trial.epochs
        begins = metrics is None and trial.state is TrialState.RUNNING
        if before >= self._limit and (begins or metrics is not None):
            raise EpochsSpent


def random_overrides(space: SearchSpace, *, trials: int, seed: int) -> list[str]:
    """Overrides, as of --set, that make a search draw at random: no other sampler, and no wall time."""
    overrides = ["search.sampler=random", f"search.seed={seed}", f"search.trials={trials}"]
    return [*overrides, "search.wall_time=null"] if space.search.wall_time is not None else overrides


def random_space(folder: ExperimentFolder, epochs: int) -> SearchSpace:
    """The experiment's space under random search at equal cost: the next seed, and as many trials as could spend that
    many epochs (EpochLimit ends it). Raises InputError."""
    space = load_space(folder.space_yaml)
    trials, seed = min(max(1, epochs), MOST_TRIALS), (space.search.seed + 1) % 2**32
    return load_space(folder.space_yaml, random_overrides(space, trials=trials, seed=seed))


def random_best(
    experiment: ExperimentFolder,
    ledger: Ledger,
    images: ImageSet,
    observer: RandomSearchObserver,
    *,
    tracking_uri: str | None = None,
) -> Contender | None:
    """The best trial, by validation accuracy, of a random search with the same space, budget and early stopping, which
    trains as many epochs as the experiment's trials had; None where no trial of it reached a rung.

    Goes on where it was interrupted. Raises what `archsearch.search.session.drive` raises.
    """
    from archsearch.search.session import Session, create, drive

    epochs = spent(ledger.trials())
    space, folder = random_space(experiment, epochs), experiment.random_search
    if not folder.ledger.exists():
        create(space, folder, name=f"{ledger.meta.get('name', experiment.name)}-random")
    elif folder.space_yaml.read_text() != space.to_yaml():  # the experiment went on since
        write_atomically(folder.space_yaml, space.to_yaml())
    with Ledger.read(folder.ledger) as sub:
        trials, used_up = sub.trials(), any(event.kind == "exhausted" for event in sub.events())
    if spent(trials) < epochs and not used_up:
        observer.phase(f"random search at equal cost: {epochs} epochs")
        with observer.searching(space, folder) as search_observer:
            limit = EpochLimit(search_observer, epochs, trials)
            with suppress(EpochsSpent):
                session = Session(
                    folder=folder,
                    observer=limit,
                    tracking_uri=tracking_uri,
                    images=images,
                    test=False,
                    force=True,  # where its space was changed, that was done above
                )
                drive(session)
    with Ledger.read(folder.ledger) as sub:
        return next(iter(top_of(sub, space, 1, kind="random")), None)


def random_document(experiment: ExperimentFolder) -> dict[str, Any]:
    """What random search took, as plain JSON values."""
    folder = experiment.random_search
    with Ledger.read(folder.ledger) as ledger:
        trials = ledger.trials()
        return {
            "folder": str(folder.path),
            "trials": len(trials),
            "finished": sum(trial.state is TrialState.FINISHED for trial in trials),
            "epochs": spent(trials),
            "seed": load_space(folder.space_yaml).search.seed,
            "looked_at_test": looks_at_test(ledger),
        }


def looks_at_test(ledger: Ledger) -> list[dict[str, Any]]:
    """Trials whose test accuracy the search itself has looked at: its winner's, once, at its end."""
    return [
        {"trial": event.trial, "test_accuracy": event.data["test_accuracy"]}
        for event in ledger.events()
        if event.kind == "tested"
    ]
