"""A text that names a trained network -> that network with its weights: what `--weights` and `start:` take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from archsearch.api.networks import network_of
from archsearch.architecture.spec import Architecture
from archsearch.data.images import Progress
from archsearch.experiment import ExperimentFolder, TrainingFolder, find
from archsearch.guests.either import Described, digest, parsed
from archsearch.guests.guest import Guest, is_guest_name
from archsearch.reading.errors import InputError, refuse
from archsearch.space.data_settings import Normalization

if TYPE_CHECKING:
    from archsearch.data.images import ImageSet
    from archsearch.guests.parents import Parent
    from archsearch.shrinking.slices import Slices
    from archsearch.space.settings import DataSettings

WAYS = (
    "a file of weights (.safetensors, .pth), ARCH=FILE, a folder of `archsearch train` or `archsearch shrink`, "
    "a bundle, an experiment, torchvision:WEIGHTS or timm:NAME.TAG"
)
OTHERS = (
    "`archsearch confirm EXPERIMENT --pretrained FILE` trains pretrained networks beside its winner, "
    "`archsearch shrink` makes smaller ones of any"
)


def parent_of(source: str | Path, network: Described | None = None, *, tell: Progress, slices: bool = False) -> Parent:
    """The trained network that a text names:

    - `torchvision:ResNet18_Weights.IMAGENET1K_V1`, `timm:resnet18.a1_in1k` (or a network's name, for its default
      weights): fetched by the library's loader into its cache
    - a file of weights: of `network`, else of the model.yaml beside it
    - ARCH=FILE: a file of weights of a network, by its name or the YAML file of it
    - a folder that `archsearch train` or `archsearch shrink` wrote, a bundle, an experiment's name or folder

    With `network` it is that one, whose images and classes may be others; with `slices`, one that it is a slice of too.
    Raises InputError for a text that names nothing, and for weights of another network.
    """
    parent = _read(str(source), network, tell)
    if network is not None and not is_same(parent.network, network) and not (slices and _is_part(parent, network)):
        name, other = network.name or digest(network), parent.network.name or digest(parent.network)
        raise refuse(f"these are not the weights of {name}, but of {other}", allowed=f"{name}", file=str(source))
    return parent


def trained_on(network: Described, parent: Parent | None) -> Described:
    """Of a network and the weights that it begins with, that which has the images' size: the weights' own network where
    archsearch trained it. A library's is for images of any size."""
    if parent is None or parent.names != "archsearch" or parent.network.input[1:] == network.input[1:]:
        return network
    return parent.network if is_same(parent.network, network) else network  # a slice of it keeps its own


def normalised_as(
    images: ImageSet, data: DataSettings, parent: Parent | None, tell: Progress
) -> tuple[ImageSet, DataSettings]:
    """The images, and their settings, with the normalization that the parent's weights expect, where its source states
    one and a person's settings do not."""
    if parent is None or "normalise" in data.model_fields_set:
        return images, data
    expected = parent.normalization_for(images.shape[0])
    if expected is None or expected == (images.mean, images.std):
        return images, data
    mean, std = ([round(value, 4) for value in values] for values in expected)
    tell(f"normalised as {parent.source} expects: mean {mean}, std {std} (--set data.normalise=standard: by the data)")
    numbers = Normalization(mean=expected[0], std=expected[1])
    return images.normalised(*expected), data.model_copy(update={"normalise": numbers})


def _read(source: str, network: Described | None, tell: Progress) -> Parent:
    from archsearch.training.pretrained import SUFFIXES, parent_of_file

    if is_guest_name(source) and "=" not in source:
        from archsearch.guests.fetching import parent_of_library

        return parent_of_library(source, as_guest=isinstance(network, Guest), tell=tell)
    path = Path(source)
    if path.is_file() or (path.suffix in SUFFIXES and "=" not in source):
        if network is None:
            model = TrainingFolder(path.parent).model_yaml
            if not model.is_file():
                allowed = f"{model} beside the file, or ARCH={source}"
                raise refuse("weights without the network that they are of", allowed=allowed, file=source)
            network = network_of(model)
        return parent_of_file(path, network)
    if "=" in source:
        name, _, file = source.partition("=")
        return parent_of_file(Path(file), network_of(name), source)
    folder = TrainingFolder(path)
    if (path / "manifest.json").is_file():
        return _of_bundle(path)
    if folder.model_yaml.is_file() and folder.weights.is_file():
        return parent_of_file(folder.weights, network_of(folder.model_yaml), source)
    try:
        experiment = find(source)
    except InputError as error:
        if path.exists() or "/" not in source:
            raise InputError(*(replace(problem, allowed=WAYS) for problem in error.problems)) from error
        raise refuse("there is no such file or folder", allowed=WAYS, file=source) from error
    return _of_experiment(experiment, source, tell)


def slices_of(parent: Parent) -> Slices:
    """The slices of a parent. Raises InputError for a network of another library."""
    from archsearch.network.build import build
    from archsearch.network.inheriting import inherit
    from archsearch.shrinking.slices import Slices

    if not isinstance(parent.network, Architecture):
        allowed = "a network of the grammar (`archsearch zoo` lists some)"
        raise refuse("a network of another library has no candidates", allowed=allowed, hint=OTHERS, file=parent.source)
    network = build(parent.network)
    network.load_state_dict(dict(parent.weights))
    return Slices(parent.network, lambda child: inherit(network, child))


def _is_part(parent: Parent, network: Described) -> bool:
    """Whether the network is a slice of the parent's, but for their images and classes."""
    from archsearch.shrinking.slice_space import is_slice

    whole = parent.network
    if not isinstance(whole, Architecture) or not isinstance(network, Architecture):
        return False
    slices = slices_of(parent)
    network = network.model_copy(update={"input": whole.input, "classes": whole.classes})
    return is_slice(whole, network, slices.free, slices.groups)


def is_same(first: Described, second: Described) -> bool:
    """Whether two networks are one, but for their images and classes."""
    try:
        return digest(parsed({**first.to_dict(), "input": [*second.input], "classes": second.classes})) == digest(
            second
        )
    except InputError:
        return False


def _of_bundle(folder: Path) -> Parent:
    from archsearch.experiment.layout import WEIGHTS
    from archsearch.export.opened import MANIFEST, Bundle
    from archsearch.export.trained import beginnings
    from archsearch.reading.files import read_json
    from archsearch.training.pretrained import parent_of_file

    bundle = Bundle(folder)
    network, known = bundle.architecture(bundle.read(WEIGHTS)), bundle.preprocessing()
    parent = parent_of_file(folder / WEIGHTS, network, str(folder))
    mean, std = known.get("mean"), known.get("std")
    parent = _begun(parent, f"the bundle {folder.name}", beginnings(read_json(folder / MANIFEST).get("began") or ()))
    return replace(parent, normalization=(tuple(mean), tuple(std)) if mean and std else None)


def _begun(parent: Parent, origin: str, began: Sequence[Mapping[str, str | None]]) -> Parent:
    """The parent with an origin of its own, and with the licences and origins of what its training began with."""
    licences = dict.fromkeys(each["licence"] for each in began if each["licence"] is not None)
    before = f", which began with {' and '.join(str(each['origin']) for each in began)}" if began else ""
    return replace(parent, origin=origin + before, licence=", ".join(licences) or None)


def _of_experiment(folder: ExperimentFolder, source: str, tell: Progress) -> Parent:
    from archsearch.export.origin import of_trial
    from archsearch.export.selection import kept_weights, select
    from archsearch.training.pretrained import parent_of_file

    selection = select(folder, None)
    weights = kept_weights(selection)
    parent = parent_of_file(selection.weights, selection.network, source)
    origin = of_trial(selection, weights, history=([], {}), images_required=False, tell=tell)
    images = origin.images
    parent = _begun(parent, f"{selection.trial.id} of the experiment {folder.name}", origin.began)
    return replace(parent, normalization=None if images is None else (images.mean, images.std))
