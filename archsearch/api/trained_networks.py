"""A trained network, an experiment's best or one with a file of weights, and the images by which it is looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from archsearch import zoo
from archsearch.api.networks import network_of
from archsearch.api.parents import normalised_as, parent_of, trained_on
from archsearch.api.training import adapted, sized_as
from archsearch.experiment import ExperimentFolder, TrainingFolder
from archsearch.experiment.folder import find
from archsearch.guests.either import Described, build, cost, described, digest
from archsearch.reading.errors import InputError, refuse
from archsearch.space.overrides import TrainSettings

if TYPE_CHECKING:
    from archsearch.anatomy.lesions import Batches
    from archsearch.data.images import ImageSet, Progress
    from archsearch.guests.building import Module
    from archsearch.guests.parents import Parent
    from archsearch.network.build import Network
    from archsearch.space.settings import TrainingSettings
    from archsearch.training.losses import Loss

Split = Literal["validation", "test"]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network, and the images by which it is looked at: `name` is what a page calls it, `weights` where its trained
    ones are from, None where they are fresh; `parent` is the trained network as it was given, None of an experiment."""

    name: str
    network: Module
    weights: str | None
    images: ImageSet
    settings: TrainingSettings
    split: Split = "validation"
    folder: ExperimentFolder | None = None
    parent: Parent | None = None

    def page(self, kind: str) -> Path:
        """Where the page of an analysis lies unless a person says it: in the experiment's folder, or here."""
        if self.folder is not None:
            return self.folder.path / "analysis" / f"{kind}.html"
        return Path(f"{self.name.replace(':', '-')}-{kind}.html")

    @property
    def described(self) -> Described:
        """The network as data."""
        return described(self.network)

    def of_grammar(self) -> Network:
        """Its network. Raises InputError for one of another library."""
        from archsearch.network.build import Network

        if not isinstance(self.network, Network):
            allowed = "a network of the grammar; lesion and landscape take others too"
            raise refuse(f"{self.name} has no shortcuts that archsearch knows", allowed=allowed)
        return self.network

    def facts(self) -> dict[str, Any]:
        """What it is, as JSON values."""
        counted = cost(self.described)
        return {
            "network": self.name,
            "digest": digest(self.described),
            "weights": self.weights,
            "flops": counted.flops,
            "params": counted.params,
            "data": self.images.name,
            "split": self.split,
            "images": len(self.images.split(self.split)),
        }

    def batches(self, on_progress: Callable[[int, int], None]) -> tuple[Callable[[], Batches], Loss]:
        """What gives the images of the split anew, batch by batch, and the loss by which it is evaluated, on the
        device, where the network is put too. `on_progress(done, of)` is called after each batch."""
        from archsearch.training.devices import resolve_device
        from archsearch.training.feeds.feed import feed_of
        from archsearch.training.losses import Loss

        device = resolve_device(self.settings.device)
        self.network.to(device)
        feed = feed_of(self.images, self.settings, device)
        total = -(-len(self.images.split(self.split)) // AT_ONCE)

        def batches() -> Batches:
            for number, batch in enumerate(feed.evaluation(self.split, AT_ONCE)):
                yield batch
                on_progress(number + 1, total)

        return batches, Loss.of(self.images, device)


AT_ONCE = 256  # images of a batch


def of_experiment(source: str | Path | ExperimentFolder, root: Path | None, split: Split, tell: Progress) -> Subject:
    """An experiment's best network on its own validation images. Raises InputError."""
    from archsearch.export.origin import of_trial
    from archsearch.export.selection import kept_weights, select
    from archsearch.network.build import Network
    from archsearch.space.loading import load_space
    from archsearch.space.overrides import root_overrides

    folder = source if isinstance(source, ExperimentFolder) else find(source)
    if split == "test":
        raise refuse(
            "the test split of an experiment is looked at once, for its winner",
            allowed="validation",
            file="--split",
        )
    selection = select(folder, None)
    origin = of_trial(selection, kept_weights(selection), history=([], {}), root=root, tell=tell)
    assert origin.images is not None, "they are required"
    assert isinstance(origin.network, Network), "a search's candidates are no guests"
    training = load_space(folder.space_yaml, root_overrides(root)).training
    name = selection.network.name or folder.name
    return Subject(
        name=name, network=origin.network, weights=str(selection.weights), images=origin.images, settings=training,
        folder=folder,
    )  # fmt: skip


def of_network(
    source: Any,
    settings: TrainSettings,
    weights: str | Path | None,
    split: Split,
    tell: Progress,
    *,
    fresh: bool = False,
) -> Subject:
    """A network with its trained weights (see `parent_of`), on images. Raises InputError for a network without weights,
    unless it may have `fresh` ones, or with those of another number of classes."""
    from archsearch.data.datasets import load_images

    if weights is None and not fresh:
        raise refuse(
            "a network without weights",
            allowed="--weights FILE, from `archsearch train`, torchvision or timm; or an experiment",
            hint="`archsearch train` trains one network",
            file="--weights",
        )
    network = network_of(source)
    parent = None if weights is None else parent_of(weights, network, tell=tell)  # before the images, which take longer
    data = sized_as(trained_on(network, parent), settings.data, tell)
    images, _ = normalised_as(load_images(data, progress=tell, measured=False), data, parent, tell)
    return _on_images(network, parent, images, settings.training, split, tell)


def of_folder(folder: Path, subject: Subject, tell: Progress) -> Subject:
    """The network that `archsearch train` has left in a folder, on a subject's images. Raises InputError."""
    trained = TrainingFolder(folder)
    if not (trained.model_yaml.is_file() and trained.weights.is_file()):
        raise refuse(f"{folder} has no trained network", allowed="a folder that `archsearch train` wrote",
                     file="--beside")  # fmt: skip
    network = network_of(trained.model_yaml)
    parent = parent_of(trained.weights, network, tell=tell)
    other = _on_images(network, parent, subject.images, subject.settings, subject.split, tell)
    return replace(other, name=folder.name)


def _on_images(
    source: Described, parent: Parent | None, images: ImageSet, settings: TrainingSettings, split: Split,
    tell: Progress,
) -> Subject:  # fmt: skip
    """A network with its trained weights, or with fresh ones, on images."""
    from archsearch.training.pretrained import begin

    architecture = adapted(source, images, tell)
    network = build(architecture)
    if parent is not None:
        started = begin(parent, network, seed=0)
        if started["replaced"]:
            allowed = f"weights with the {architecture.classes} classes of {images.name}"
            raise refuse("the weights have a different number of classes", allowed=allowed, file=parent.source)
        if started["changed"]:
            tell(started["changed"])
    return Subject(
        name=architecture.name or digest(architecture), network=network.eval(),
        weights=None if parent is None else parent.source, images=images, settings=settings, split=split,
        parent=parent,
    )  # fmt: skip


def subject_of(
    source: str,
    settings: TrainSettings | None,
    weights: str | Path | None,
    root: Path | None,
    split: Split,
    tell: Progress,
    *,
    fresh: bool = False,
) -> Subject:
    """An experiment where no data is given (`settings` None), else a network, with `fresh` weights where none are given
    and they may be. Raises InputError, which tells both."""
    if settings is not None:
        return of_network(source, settings, weights, split, tell, fresh=fresh)
    try:
        return of_experiment(source, root, split, tell)
    except InputError as error:
        if weights is None and source not in zoo.names():
            raise
        hint = f"{source}, a network, needs --data"
        raise InputError(*(replace(problem, hint=hint) for problem in error.problems)) from None
