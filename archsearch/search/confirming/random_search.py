"""Random search of an experiment's space at the experiment's own cost: what every search has to beat."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from archsearch.experiment import ExperimentFolder, Ledger, TrialState
from archsearch.reading.errors import InputError
from archsearch.reading.yaml import read
from archsearch.search.confirming.contenders import Contender, spent, top_of
from archsearch.shrinking.kept import kept_parents
from archsearch.space.loading import load_space
from archsearch.space.overrides import root_overrides
from archsearch.space.space import SearchSpace

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


def random_overrides(space: SearchSpace, *, trials: int, seed: int, epochs: int | None = None) -> list[str]:
    """Overrides, as of --set, that make a search draw at random: no other sampler, so many trials, no wall time, and so
    many epochs in all (None: however many those trials take)."""
    overrides = ["search.sampler=random", f"search.seed={seed}", f"search.trials={trials}"]
    if epochs != space.search.epochs:
        overrides.append(f"search.epochs={'null' if epochs is None else epochs}")
    return [*overrides, "search.wall_time=null"] if space.search.wall_time is not None else overrides


def random_space(folder: ExperimentFolder, epochs: int, root: Path | None = None) -> SearchSpace:
    """The experiment's space under random search at equal cost: the next seed, that many epochs, and as many trials as
    could spend them; its data lies in `root` (None: where its space.yaml says). Raises InputError."""
    elsewhere = root_overrides(root)
    space, epochs = load_space(folder.space_yaml, elsewhere), max(1, epochs)
    seed = (space.search.seed + 1) % 2**32
    overrides = random_overrides(space, trials=min(epochs, MOST_TRIALS), seed=seed, epochs=epochs)
    return load_space(folder.space_yaml, [*overrides, *elsewhere])


def random_best(
    experiment: ExperimentFolder,
    ledger: Ledger,
    images: ImageSet,
    observer: RandomSearchObserver,
    *,
    tracking_uri: str | None = None,
    root: Path | None = None,
) -> Contender | None:
    """The best trial, by the search's metric on validation, of a random search with the same space, budget and early
    stopping, which trains as many epochs as the experiment's trials had; None where no trial of it reached a rung.

    Goes on where it was interrupted. Raises what `archsearch.search.session.drive` raises.
    """
    from archsearch.search.session import Session, create, drive
    from archsearch.space.overrides import kept_text

    epochs = spent(ledger.trials())
    space, folder = random_space(experiment, epochs, root), experiment.random_search
    changed = False
    if not folder.ledger.exists():
        name, parents = f"{ledger.meta.get('name', experiment.name)}-random", kept_parents(experiment, ledger)
        create(space, folder, name=name, label="random", parents=parents)
    elif changed := not is_space_of(folder, space):  # the experiment went on since
        folder.write(folder.space_yaml, kept_text(space))
    with Ledger.read(folder.ledger) as sub:
        finished = sub.state == "finished"
    if changed or not finished:
        observer.phase(f"random search at equal cost: {epochs} epochs")
        with observer.searching(space, folder) as search_observer:
            session = Session(
                folder=folder,
                tracking_uri=tracking_uri,
                images=images,
                test=False,
                force=True,  # where its space was changed, that was done above
            )
            drive(session, search_observer)
    with Ledger.read(folder.ledger) as sub:
        return next(iter(top_of(sub, space, 1, kind="random")), None)


def is_space_of(folder: ExperimentFolder, space: SearchSpace) -> bool:
    """Whether the folder's space.yaml holds the settings of this space, whatever its comments and layout."""
    from archsearch.space.overrides import kept_text

    try:
        return bool(read(folder.read_text(folder.space_yaml)).data == read(kept_text(space)).data)
    except (InputError, OSError):
        return False


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
    """Trials that the search itself has looked at on the test split: its winner, once, at its end."""
    metric = ledger.objective.test
    return [
        {"trial": event.trial, metric: event.data[metric]}
        for event in ledger.events()
        if event.kind == "tested" and event.trial is not None
    ]
