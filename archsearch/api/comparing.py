"""Two searches, or two spaces, beside one another: samples of spaces are drawn and trained where they have to be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from archsearch.api.driving import Audience, drive_shown
from archsearch.api.reporting import drawn_at_random
from archsearch.experiment import ExperimentFolder, find
from archsearch.experiment.summary import summarise

if TYPE_CHECKING:
    from archsearch.analysis.report.comparing import Comparison
    from archsearch.space.space import SearchSpace

FILES = (".yaml", ".yml")


class SampleFailed(RuntimeError):
    """No network of a space's sample could be trained."""


def compare(
    sides: Sequence[str], audience: Audience, *, trials: int, epochs: int | None = None, seed: int = 0, go_on: str
) -> Comparison:
    """Compares two experiments (names or folders), or search-space files, of which `trials` networks are drawn by
    `seed` and trained for so many `epochs` (None: a third of a full training) in experiments of their own.

    `go_on` is what continues after Ctrl-C. Raises InputError for either side before anything is trained, SampleFailed,
    and what `drive_shown` raises.
    """
    from archsearch.analysis.report import read_experiment
    from archsearch.analysis.report.comparing import compare as compared

    paths = {side: Path(side) for side in sides}
    files = {side: path for side, path in paths.items() if path.suffix in FILES and not path.is_dir()}
    folders = {side: find(side) for side in sides if side not in files}
    if files:
        from archsearch.search.confirming.random_sample import sample_of, short_epochs, space_alone

        spaces = [space_alone(file) for file in files.values()]
        epochs = epochs or short_epochs(*spaces)
        samples = {side: sample_of(file, trials=trials, epochs=epochs, seed=seed) for side, file in files.items()}
        folders |= {side: _trained(sample, audience, go_on) for side, sample in samples.items()}
    experiments = [folders[side] for side in sides]
    return compared(*(read_experiment(folder, drawn_at_random(folder)) for folder in experiments))


def _trained(sample: SearchSpace, audience: Audience, go_on: str) -> ExperimentFolder:
    """The experiment of the sample, which is trained where it has not finished yet."""
    from archsearch.data.datasets import load_images
    from archsearch.data.describing import describe
    from archsearch.search.confirming.random_sample import experiment_of
    from archsearch.search.session import Session
    from archsearch.space.fitting import fitted

    images = load_images(sample.data, progress=audience.tell)  # before there is a folder: it may not be there
    sample = fitted(sample, describe(images, sample.training))
    folder = experiment_of(sample)
    if summarise(folder)["state"] == "finished":
        audience.tell(f"{folder.name} is there already, drawn and trained: {folder.path}")
        return folder
    count = f"{sample.search.trials} networks of {sample.name}, {sample.training.epochs} epochs each"
    audience.tell(f"{count}, in {folder.path}")
    session = Session(folder=folder, images=images, test=False)
    summary = drive_shown(sample, session, audience, go_on=go_on)
    if summary["state"] != "finished":
        raise SampleFailed(f"{folder.name}: {summary.get('reason') or 'no trial finished'}")
    return folder
