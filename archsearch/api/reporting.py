"""What is made of a search that has ended: its report."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from archsearch.api.showing.printing import tell
from archsearch.experiment import ExperimentFolder, Ledger, write_atomically
from archsearch.experiment.analyses import analyses
from archsearch.experiment.summary import EXPERIENCE
from archsearch.reading.errors import InputError, refuse

if TYPE_CHECKING:
    from archsearch.analysis.report import Context, Document
    from archsearch.analysis.report.reading import AnalysisPage
    from archsearch.data.images import ImageSet


def write_report(folder: ExperimentFolder, output: Path | None = None, *, images: bool = True) -> tuple[Path, Document]:
    """Writes the report to `output`, by default into the experiment's folder; returns its path and its figures. With
    `images` it shows some that the winner takes for others, from the experiment's data.

    Raises InputError for a ledger that cannot be read and an `output` that is no file, OSError where it cannot be
    written."""
    from archsearch.analysis.report import document, page, read_experiment

    path = output or folder.report
    if path.exists() and not path.is_file():
        raise refuse(f"{path} is a folder or a device", allowed="a new or existing file", file="--output")
    context = replace(context_of(folder), analyses=_analyses(folder, path.parent))
    reading = read_experiment(folder, replace(context, images=partial(_images, folder)) if images else context)
    figures = document(reading)
    write_atomically(path, page(reading, figures), root=folder.path if output is None else None)
    return path, figures


def _analyses(folder: ExperimentFolder, start: Path) -> list[AnalysisPage]:
    """The pages of `archsearch analyze` in the experiment's folder, with links from the folder `start`."""
    return [
        {
            "kind": analysis.kind,
            "digest": str(analysis.figures.get("digest")),
            "page": os.path.relpath(analysis.page, start),
            "remark": analysis.remark,
        }
        for analysis in analyses(folder)
    ]


def report_at_the_end(folder: ExperimentFolder, tell: Callable[[str], object] = tell) -> None:
    """Writes the report and tells where it is; that it cannot be written is told too, and is no error."""
    try:
        path, _ = write_report(folder)
    except Exception as error:
        tell(f"archsearch: no report was written: {type(error).__name__}: {error}".split("\n", maxsplit=1)[0][:300])
    else:
        tell(f"archsearch: report written to {path}")


def _images(folder: ExperimentFolder) -> ImageSet:
    """The experiment's data set; nothing is downloaded, and images in files are read one by one. Raises InputError,
    OSError."""
    from archsearch.data.datasets import load_images
    from archsearch.space.loading import load_space

    space = load_space(folder.space_yaml)
    data = space.data.at(space.input)
    return load_images(data.model_copy(update={"download": False, "in_memory": False}), measured=False)


def context_of(folder: ExperimentFolder) -> Context:
    """What the ledger does not hold and the report shows: how many trials the sampler drew at random, the networks of
    the literature that fit the budget, and MLflow's page. Without the first two where space.yaml cannot be read."""
    from archsearch.search.confirming.contenders import at_best, baselines
    from archsearch.space.loading import load_space
    from archsearch.tracking import page_of

    page = None
    with suppress(OSError, InputError):  # a link is worth no error
        page = page_of(folder)
    context = replace(drawn_at_random(folder), page=page)
    try:
        space = load_space(folder.space_yaml)
    except InputError:
        return context
    with Ledger.read(folder.ledger) as ledger:
        space = at_best(space, ledger)
        largest = max((trial.cost["flops"] for trial in ledger.trials()), default=0)
    fitting = baselines(space, largest) if largest else []
    return replace(context, baselines={network.name: network.cost for network in fitting})


def drawn_at_random(folder: ExperimentFolder) -> Context:
    """Of `context_of` only how many trials the sampler drew at random: the literature's networks take a second."""
    from archsearch.analysis.report import Context
    from archsearch.search.proposing.samplers.registry import random_until
    from archsearch.space.loading import load_space

    try:
        search = load_space(folder.space_yaml).search
    except InputError:
        return Context()
    sampler = search.model_dump(mode="json")["sampler"]
    with Ledger.read(folder.ledger) as ledger:
        experienced = bool(ledger.events_of(EXPERIENCE))
    startup, is_anchor = random_until(sampler, objectives=len(search.objectives), experienced=experienced)
    return Context(startup=startup, is_anchor=is_anchor)
