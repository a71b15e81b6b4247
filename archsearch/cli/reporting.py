"""Writing the report: on demand, and where `run`, `resume` and `confirm` end."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch.cli.showing.printing import tell
from archsearch.experiment import ExperimentFolder, write_atomically

if TYPE_CHECKING:
    from archsearch.analysis.report import Beside


def write_report(folder: ExperimentFolder, output: Path | None = None) -> tuple[Path, dict[str, Any]]:
    """The page's place, and the figures that it shows. Raises InputError for a ledger that cannot be read, and for a
    place that is no file; OSError where nothing can be written."""
    from archsearch.analysis.report import document, page, read_experiment
    from archsearch.reading.errors import refuse

    place = output or folder.report
    if place.exists() and not place.is_file():
        raise refuse(f"{place} is a folder or a device", allowed="a file, new or to be replaced", file="--output")
    reading = read_experiment(folder, beside(folder))
    found = document(reading)
    write_atomically(place, page(reading, found))
    return place, found


def report_at_the_end(folder: ExperimentFolder) -> None:
    """As the last thing of a search: a report that cannot be written is worth a line, and no more."""
    try:
        place, _ = write_report(folder)
    except Exception as error:
        tell(f"archsearch: no report was written: {type(error).__name__}: {error}".split("\n", maxsplit=1)[0][:300])
    else:
        tell(f"archsearch: the report is {place}")


def beside(folder: ExperimentFolder) -> Beside:
    """What other rooms know of the experiment: how long its sampler drew at random, the literature's networks that
    fit, and where MLflow shows it. Nothing of the first two where space.yaml cannot be read here."""
    from archsearch.experiment import Ledger
    from archsearch.reading.errors import InputError
    from archsearch.search.confirming.contenders import baselines
    from archsearch.space import load_space
    from archsearch.tracking import page_of

    shown = None
    with suppress(OSError, InputError):  # a link is worth no error
        shown = page_of(folder)
    found = replace(drawn_at_random(folder), page=shown)
    try:
        space = load_space(folder.space_yaml)
    except InputError:
        return found
    with Ledger.read(folder.ledger) as ledger:
        most = max((trial.cost["flops"] for trial in ledger.trials()), default=0)
    fitting = baselines(space, most) if most else []
    return replace(found, baselines={each.name: each.cost for each in fitting})


def drawn_at_random(folder: ExperimentFolder) -> Beside:
    """Only how long its sampler drew at random: the literature's networks take a second to count."""
    from archsearch.analysis.report import Beside
    from archsearch.reading.errors import InputError
    from archsearch.search.proposing.samplers.registry import random_until
    from archsearch.space import load_space

    try:
        search = load_space(folder.space_yaml).search
    except InputError:
        return Beside()
    word = search.model_dump(mode="json")["sampler"]
    return Beside(startup=random_until(word, objectives=len(search.objectives)))


def registered(folder: ExperimentFolder, tracking_uri: str | None) -> str | None:
    """The winner's version in MLflow's registry, made if need be; what goes wrong is said, and no more: the search is
    whole without it."""
    from archsearch.tracking import register

    if folder.is_driven():
        return None
    try:
        return register(folder, tracking_uri)
    except Exception as error:
        tell(f"archsearch: the winner is not in MLflow's registry: {str(error).splitlines()[0]:.200}")
        return None
