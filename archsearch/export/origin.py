"""Where a network comes from: its weights, the data that it was scored on, and how it was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, overload

import torch
from torch import Tensor, nn

from archsearch.analysis.intervals import CONFIDENCE
from archsearch.architecture.spec import Architecture
from archsearch.data.datasets import load_images
from archsearch.data.images import ImageSet, Progress
from archsearch.data.recorded import images_record
from archsearch.experiment import ExperimentFolder, Ledger
from archsearch.experiment.confirmed import read_confirmation
from archsearch.experiment.objective import ACCURACY, Objective
from archsearch.experiment.records import spell
from archsearch.experiment.summary import looked_at
from archsearch.experiment.winner import tested, winner_of
from archsearch.export.selection import Selection
from archsearch.export.trained import beginnings, data_settings, result_beside
from archsearch.guests.either import Described, build, described, load
from archsearch.network.build import Network
from archsearch.reading.errors import InputError, refuse
from archsearch.space.datasets import DataFacts
from archsearch.space.loading import load_space
from archsearch.space.overrides import root_overrides
from archsearch.space.settings import DataSettings
from archsearch.space.space import SearchSpace
from archsearch.space.tasks import TaskName
from archsearch.training.checkpoint import CheckpointDamaged, thresholds_of, weights_from_bytes
from archsearch.training.feeds.feed import feed_of
from archsearch.training.pretrained import read_weights

AT_ONCE = 256
NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, kw_only=True)
class Origin:
    """A network with its weights, in eval mode, and what is known of it.

    `history` are sentences on how it was found; `accuracy` what was scored before: split -> text. `images` is None
    where its data is not known here; `described` is then what a training's result.json says of them. `thresholds` are
    the probabilities from which each of several labels is present, None for other tasks. `began` are the trained
    weights that training began with, as `beginnings` has them.
    """

    network: nn.Module
    history: tuple[str, ...] = ()
    accuracy: Mapping[str, str] = field(default_factory=dict)
    budget: str = ""
    images: ImageSet | None = None
    settings: DataSettings | None = None
    described: Mapping[str, Any] = field(default_factory=dict)
    thresholds: tuple[float, ...] | None = None
    began: tuple[Mapping[str, str | None], ...] = ()

    @property
    def architecture(self) -> Described:
        """What the network was built from."""
        return described(self.network)

    @property
    def task(self) -> TaskName:
        """The task of its images; single_label where nothing is known of them."""
        task: TaskName = self.described.get("task", "single_label") if self.images is None else self.images.task
        return task


@overload
def with_weights(architecture: Architecture, content: bytes, file: str) -> Network: ...
@overload
def with_weights(architecture: Described, content: bytes, file: str) -> nn.Module: ...
def with_weights(architecture: Described, content: bytes, file: str) -> nn.Module:
    """The network with its own weights, from a safetensors file's bytes. Raises InputError, naming the file."""
    network = build(architecture)
    try:
        network.load_state_dict(weights_from_bytes(content))
    except (CheckpointDamaged, RuntimeError) as error:
        first = str(error).strip().splitlines()[-1].strip()
        raise refuse(f"these are not the network's weights: {first:.200}", file=file) from error
    return network.eval()


def of_file(
    architecture: Described,
    weights: Path,
    *,
    root: Path | None = None,
    images_required: bool = False,
    tell: Progress = lambda _: None,
) -> Origin:
    """A network, and a file of weights: archsearch's, torchvision's or timm's. Where `archsearch train` has left them,
    what its result.json says, with the images of that training, which lie in `root` (None: where they lay then).
    Raises InputError for weights of another network, and for images that are required and cannot be read or are not
    those of the training."""
    network = build(architecture)
    try:
        start = load(network, read_weights(weights).tensors)
    except InputError as error:
        raise InputError(*(replace(problem, file=str(weights)) for problem in error.problems)) from error
    if start.replaced:
        allowed = f"weights with {architecture.classes} classes"
        raise refuse("the weights have a different number of classes", allowed=allowed, file=str(weights))
    result = result_beside(weights, architecture)
    history = [f"Weights from {weights.name}, with the names of {start.source}."]
    if result:
        history.append(f"Trained by `archsearch train` for {result['epochs']} epochs with seed {result['seed']}.")
    scored = {
        split: f"{100 * result[split]['accuracy']:.2f} % (one training)"
        for split in ("validation", "test")
        if result.get(split) and "accuracy" in result[split]
    }
    described, thresholds = result.get("data", {}), result.get("thresholds")
    settings, images = data_settings(result, root), None
    if settings is not None:
        images = _images(settings, architecture, tell, required=images_required, recorded=described)
    return Origin(
        network=network.eval(), history=tuple(history), accuracy=scored, described=described, images=images,
        settings=settings, thresholds=None if thresholds is None else tuple(thresholds),
        began=beginnings([result.get("start")]),
    )  # fmt: skip


History = tuple[list[str], dict[str, str]]  # sentences on how a network was found, and its accuracies by split


def of_trial(
    selection: Selection,
    weights: bytes,
    *,
    history: History | None = None,
    root: Path | None = None,
    images_required: bool = True,
    tell: Progress,
) -> Origin:
    """A trial of a search with the weights that were kept of it; `history` is how those were found and how accurate
    they are (None: as the search trained them). Its images lie in `root` (None: where its space.yaml says); unless they
    are required, it may do without. Raises InputError for images that cannot be read, or are not of the network's shape
    and classes."""
    space = _space(selection.folder, selection.network, root)
    sentences, scored = searched_history(selection, space) if history is None else history
    settings = space.data.at(selection.network.input)
    images = _images(settings, selection.network, tell, required=images_required)
    network, thresholds = with_weights(selection.network, weights, str(selection.weights)), thresholds_of(weights)
    return Origin(
        network=network, history=tuple(sentences), accuracy=scored, budget=str(space.budget),
        images=images, settings=settings, thresholds=None if thresholds is None else tuple(thresholds.tolist()),
        began=searched_from(selection.folder),
    )  # fmt: skip


def searched_from(folder: ExperimentFolder) -> tuple[dict[str, str | None], ...]:
    """The trained networks with whose weights the candidates of a search begin, as `beginnings` has them."""
    with Ledger.read(folder.ledger) as ledger:
        return beginnings(event.data for event in ledger.events_of("parent"))


def searched_history(selection: Selection, space: SearchSpace) -> History:
    """Of a trial as the search trained it."""
    trial = selection.trial
    with Ledger.read(selection.folder.ledger) as ledger:
        objective, test = ledger.objective, tested(ledger, trial.number)
        trials, looks = ledger.total, len(ledger.events_of("tested"))
    scored = {}
    if trial.value is not None:
        scored["validation"] = f"{objective.named(trial.value)} (measured in the search)"
    if test is not None:
        scored["test"] = f"{objective.named(test)} ({looked_at(looks)}, after the search)"
    history = [f"Trial {trial.id} of {trials} of the search space `{space.name}`, after {trial.epochs} epochs."]
    history += [f"Trained with {spell(trial.training)}."] if trial.training else []
    return history, scored


def finished_history(selection: Selection) -> History:
    """Of a winner that was trained longer when the search had ended."""
    with Ledger.read(selection.folder.ledger) as ledger:
        winner, trials = winner_of(selection.folder, ledger), ledger.total
    assert winner is not None and winner.of == "finish"
    better = "more accurate" if winner.objective.name == ACCURACY else "better"
    trial = selection.trial
    history = [
        f"Trial {trial.id} of {trials} of the search space, retrained for {winner.epochs} epochs "
        f"after the search, and {better} on validation than the best of the search."
    ]
    history += [f"Trained with {spell(trial.training)}."] if trial.training else []
    scored = {"validation": winner.objective.named(winner.value)}
    if winner.test is not None:
        scored["test"] = f"{winner.objective.named(winner.test)} ({looked_at(1)})"
    return history, scored


def confirmed_history(folder: ExperimentFolder) -> History:
    """Of the winner of `archsearch confirm`, with the weights of its best seed. Raises InputError for a damaged
    confirm.json."""
    files = folder.confirmation
    document = read_confirmation(folder)
    if document is None or document.get("weights_of_seed") is None:
        raise refuse("the confirmation is damaged", hint="use --trial ID to export a trial", file=str(files.path))
    winner = next(row for row in document["rows"] if row["winner"])
    scored = {
        split: _over_seeds(winner[split], Objective.of(document))
        for split in ("validation", "test")
        if winner.get(split)
    }
    return [document["chosen"], f"The weights are those of seed {document['weights_of_seed']}."], scored


def _space(folder: ExperimentFolder, architecture: Architecture, root: Path | None) -> SearchSpace:
    """The experiment's space, though its images may be gone: the network says their shape and classes."""
    data = DataFacts(input=architecture.input, classes=architecture.classes, task=None)
    return load_space(folder.space_yaml, root_overrides(root), data=data)


def _images(
    settings: DataSettings, network: Described, tell: Progress, *, required: bool, recorded: Mapping[str, Any] = NOTHING
) -> ImageSet | None:
    """The images that the settings name, normalised as those that are `recorded` of a training; None where they cannot
    be read, or are others than those, and need not be there."""
    try:
        images = _as_recorded(load_images(settings, progress=tell, measured=False), recorded, settings)
    except InputError as error:
        if required:
            hint = "use --root DIR if the data was moved; --format python, onnx and torch-export need no data"
            raise InputError(*(replace(problem, hint=hint) for problem in error.problems)) from error
        tell(f"note: without the images of the {'training' if recorded else 'experiment'}: {error.problems[0].message}")
        return None
    if images.shape != tuple(network.input) or len(images.classes) != network.classes:
        raise refuse(
            f"the images have shape {images.shape} and {len(images.classes)} classes, the network "
            f"takes {tuple(network.input)} and {network.classes} classes",
            allowed="the images of the experiment",
            hint="use --root DIR if the data was moved",
            file=settings.root,
        )
    return images


def _as_recorded(images: ImageSet, recorded: Mapping[str, Any], settings: DataSettings) -> ImageSet:
    """The images with the mean and the deviation of a training. Raises InputError where they are not those that it was
    on; whether they are is not known where they were in memory, and now are read from disk, or the reverse."""
    if not recorded:
        return images
    record = images_record(images)
    if record.get("streamed", False) == recorded.get("streamed", False) and record["data"] != recorded.get("digest"):
        problem = f"other images than those of the training: digest {recorded.get('digest')} -> {record['data']}"
        raise refuse(problem, file=settings.location)
    return replace(images, mean=tuple(recorded["mean"]), std=tuple(recorded["std"]))


def _over_seeds(interval: Mapping[str, Any], objective: Objective) -> str:
    """The mean with its interval; of few seeds each one's value."""
    named, unit = "" if objective.name == ACCURACY else f"{objective.label} ", objective.unit
    if interval["half"] is None:
        values = interval.get("values") or [interval["mean"]]
        seeds = "1 seed" if interval["n"] == 1 else f"{interval['n']} seeds"
        return f"{named}{', '.join(map(objective.number, values))}{unit} ({seeds})"
    mean, half = (objective.number(interval[key]) + unit for key in ("mean", "half"))
    return f"{named}{mean} ± {half} ({CONFIDENCE:.0%} interval over {interval['n']} seeds)"


def validation(images: ImageSet) -> tuple[Tensor, Tensor]:
    """All images of the validation split as the network reads them, and their labels."""
    from archsearch.space.settings import TrainingSettings

    feed = feed_of(images, TrainingSettings(), torch.device("cpu"), workers=0)
    batches = list(feed.evaluation("validation", AT_ONCE))
    return torch.cat([pixels for pixels, _ in batches]).contiguous(), torch.cat([labels for _, labels in batches])
